package packaging

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// hostRoot is a file system with some of this machine's own Debian packages
// and all that they depend on, as no registry may be needed. In it dpkg and
// systemd work as on a machine, and nothing that they do reaches this one.
type hostRoot struct {
	packages []string
	files    map[string]string // path in the root to path here
}

// roots are the packages that the tests of packages use.
var roots = []string{"base-files", "base-passwd", "bash", "coreutils", "dash", "diffutils", "dpkg", "findutils", "grep", "gzip", "libc-bin", "login", "mawk", "mount", "passwd", "sed", "systemd", "tar", "util-linux"}

// newHostRoot skips the test where this is no Debian with these packages.
func newHostRoot(t *testing.T) *hostRoot {
	t.Helper()
	needs(t, "dpkg-query")
	if os.Geteuid() != 0 {
		t.Skip("needs root, to read all files of packages")
	}
	known := installed(t)
	var missing []string
	for _, p := range roots {
		if _, found := known[p]; !found {
			missing = append(missing, p)
		}
	}
	if len(missing) > 0 {
		t.Skipf("needs Debian packages that are not installed: %v", missing)
	}
	r := &hostRoot{packages: closure(known), files: map[string]string{}}
	for line := range strings.Lines(mustRun(t, root, nil, "dpkg-query", append([]string{"-L"}, r.packages...)...)) {
		r.add(strings.TrimSpace(line))
	}
	for _, file := range []string{"/etc/alternatives/awk", "/usr/bin/awk"} {
		r.add(file)
	}
	return r
}

// installed returns what each installed package depends on, the first of
// alternatives only.
func installed(t *testing.T) map[string][]string {
	t.Helper()
	known := map[string][]string{}
	out := mustRun(t, root, nil, "dpkg-query", "-W", "-f", "${Package}\t${db:Status-Status}\t${Pre-Depends}, ${Depends}\n")
	for line := range strings.Lines(out) {
		fields := strings.Split(strings.TrimSpace(line), "\t")
		if len(fields) != 3 || fields[1] != "installed" {
			continue
		}
		known[fields[0]] = nil
		for dependency := range strings.SplitSeq(fields[2], ",") {
			first, _, _ := strings.Cut(dependency, "|")
			first, _, _ = strings.Cut(strings.TrimSpace(first), " ")
			name, _, _ := strings.Cut(first, ":")
			known[fields[0]] = append(known[fields[0]], name)
		}
	}
	return known
}

// closure returns the packages of roots and all that they depend on.
func closure(known map[string][]string) []string {
	var all []string
	for todo := slices.Clone(roots); len(todo) > 0; todo = todo[1:] {
		if depends, found := known[todo[0]]; found && !slices.Contains(all, todo[0]) {
			all = append(all, todo[0])
			todo = append(todo, depends...)
		}
	}
	slices.Sort(all)
	return all
}

// unwanted is what makes the root large, or would have systemd look after a
// whole machine.
var unwanted = []string{"/usr/share/doc/", "/usr/share/man/", "/usr/share/locale/", "/usr/share/info/", "/usr/share/i18n/", "/usr/lib/udev/hwdb", "/usr/share/zoneinfo", "/usr/share/perl"}

// add takes a path of this machine into the root, under its name in a system
// whose /bin is a link to /usr/bin.
func (r *hostRoot) add(path string) {
	name := path
	for _, dir := range []string{"/bin/", "/sbin/", "/lib/", "/lib32/", "/lib64/", "/libx32/"} {
		if strings.HasPrefix(path, dir) {
			name = "/usr" + path
		}
	}
	for _, prefix := range unwanted {
		if strings.HasPrefix(name, prefix) {
			return
		}
	}
	if strings.HasPrefix(name, "/usr/lib/systemd/system/") && strings.Contains(name, ".wants/") && !strings.Contains(name, "journald") {
		return
	}
	switch name {
	case "/.", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32": // links, see write
		return
	}
	if !strings.HasPrefix(path, "/") { // about a diversion
		return
	}
	r.files[name] = path
}

// write writes the root as an archive.
func (r *hostRoot) write(t *testing.T, out io.Writer) error {
	t.Helper()
	w := tar.NewWriter(out)
	for _, dir := range []string{"etc", "root", "run", "tmp", "usr", "var", "var/lib", "var/lib/dpkg", "var/lib/dpkg/info", "var/lib/dpkg/updates"} {
		r.files["/"+dir] = "" // also where no package has it
	}
	for _, name := range r.sorted() {
		if err := putFile(w, name, r.files[name]); err != nil {
			return err
		}
	}
	for _, link := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := w.WriteHeader(&tar.Header{Name: link, Typeflag: tar.TypeSymlink, Linkname: "usr/" + link, Mode: 0o777}); err != nil {
			return err
		}
	}
	status := []byte(mustRun(t, root, nil, "dpkg-query", append([]string{"-s"}, r.packages...)...))
	for name, text := range map[string][]byte{
		"var/lib/dpkg/status": status, "etc/machine-id": nil,
		"etc/passwd": mustRead(t, "/usr/share/base-passwd/passwd.master"), "etc/group": mustRead(t, "/usr/share/base-passwd/group.master"),
		"etc/shadow": []byte("root:*:19000:0:99999:7:::\n"), "etc/gshadow": nil,
	} {
		if err := putBytes(w, name, text); err != nil {
			return err
		}
	}
	for _, p := range r.packages {
		lists, err := filepath.Glob("/var/lib/dpkg/info/" + p + "[.:]*list")
		if err != nil || len(lists) == 0 {
			return fmt.Errorf("find list of files of package %s: %w", p, errors.Join(err, fs.ErrNotExist))
		}
		for _, list := range lists {
			if err := putFile(w, list, list); err != nil {
				return err
			}
		}
	}
	return w.Close()
}

func (r *hostRoot) sorted() []string {
	names := make([]string, 0, len(r.files))
	for name := range r.files {
		names = append(names, name)
	}
	slices.Sort(names) // directories come before what is in them
	return names
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// putFile copies one file of this machine. One that is gone, as some that
// packages name are, is left out. A name without a file is a directory.
func putFile(w *tar.Writer, name, path string) error {
	if path == "" {
		return w.WriteHeader(&tar.Header{Name: name[1:] + "/", Typeflag: tar.TypeDir, Mode: 0o755})
	}
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	target := ""
	if info.Mode()&fs.ModeSymlink != 0 {
		if target, err = os.Readlink(path); err != nil {
			return err
		}
	}
	h, err := tar.FileInfoHeader(info, target)
	if err != nil {
		return err
	}
	h.Name = name[1:]
	if info.IsDir() {
		h.Name += "/"
	}
	if err := w.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

func putBytes(w *tar.Writer, name string, data []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data))}); err != nil {
		return err
	}
	_, err := w.Write(data)
	return err
}

// hostImage is the image of the root, which is made once for all tests.
var hostImage shared

// image returns the image of this machine's packages.
func image(t *testing.T) string {
	t.Helper()
	needsEngine(t)
	return hostImage.get(func() string {
		name := uniqueName("debian")
		newHostRoot(t).importAs(t, name)
		return name
	})
}

// importAs makes an image of the root.
func (r *hostRoot) importAs(t *testing.T, name string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "docker", "import", "-c", "LABEL io.scaler.test=1", "-c", "ENV container=docker", "-c", "ENV PATH=/usr/sbin:/usr/bin", "-", name)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b := bufio.NewWriterSize(in, 1<<20)
	err = errors.Join(r.write(t, b), b.Flush(), in.Close(), cmd.Wait())
	if err != nil {
		t.Fatalf("import an image of this machine's packages: %v\n%s", err, &said)
	}
}
