package packaging

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// maxImage is how large an image may be, in bytes.
const maxImage = 40 << 20

// ownImage is the image that the Dockerfile makes, once for all tests.
var ownImage shared

// makeImage makes the image by the Dockerfile, of oldVersion.
func makeImage(t *testing.T) (name string) {
	t.Helper()
	needsEngine(t)
	return ownImage.get(func() string {
		name := uniqueName("image")
		// A copy, since dist is made anew.
		dir := t.TempDir()
		mustRun(t, root, nil, "sh", "-c", `tar --exclude=./.git --exclude=./bin --exclude=./dist -cf - . | tar -xf - -C "$1"`, "sh", dir)
		mustRun(t, dir, nil, needs(t, "make"), "-s", "image", "IMAGE="+name, "VERSION="+oldVersion, "BUILD_ARGS=--label io.scaler.test=1")
		return name
	})
}

// imageConfig is how an image is run. One by the Dockerfile has the label of
// tests too.
type imageConfig struct {
	User, StopSignal     string
	Entrypoint, Cmd, Env []string
	Labels               map[string]string
	Volumes              map[string]struct{}
	Healthcheck          *struct {
		Test                           []string
		Interval, Timeout, StartPeriod int64
		Retries                        int
	}
}

func inspect(t *testing.T, image string) imageConfig {
	t.Helper()
	var c imageConfig
	if err := json.Unmarshal([]byte(mustRun(t, root, nil, "docker", "inspect", "-f", "{{json .Config}}", image)), &c); err != nil {
		t.Fatal(err)
	}
	delete(c.Labels, "io.scaler.test")
	return c
}

// The image runs as nobody in particular, and its state directory is closed,
// also in a new volume.
func TestImage(t *testing.T) {
	name := makeImage(t)
	if out := mustRun(t, root, nil, "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", name, "version"); !strings.Contains(out, oldVersion) {
		t.Errorf("version: %s", out)
	}
	if c := inspect(t, name); c.User != "65532:65532" || c.Healthcheck == nil || c.Labels["org.opencontainers.image.version"] != oldVersion {
		t.Errorf("image: %+v", c)
	}
	checkFiles(t, name)
}

// checkFiles checks who owns what in an image.
func checkFiles(t *testing.T, image string) {
	t.Helper()
	container := strings.TrimSpace(mustRun(t, root, nil, "docker", "create", image))
	t.Cleanup(func() { _, _ = run(t, root, nil, "docker", "rm", "-f", "-v", container) })
	list := mustRun(t, root, nil, "sh", "-c", `docker export "$1" | tar -tvf - --numeric-owner`, "sh", container)
	for _, want := range []string{`drwx------ 65532/65532 .* var/lib/scaler/`, `drwxr-x--- 65532/65532 .* run/scaler/`, `-rwxr-xr-x 0/0 .* scaler\n`} {
		if !regexp.MustCompile(want).MatchString(list) {
			t.Errorf("no %s in\n%s", want, list)
		}
	}
}

// header is all of a program that is looked at when an image is made.
func header(machine elf.Machine, class elf.Class) []byte {
	h := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64}
	copy(h.Ident[:], elf.ELFMAG)
	h.Ident[elf.EI_CLASS], h.Ident[elf.EI_DATA], h.Ident[elf.EI_VERSION] = byte(class), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	var b bytes.Buffer
	if class == elf.ELFCLASS32 {
		_ = binary.Write(&b, binary.LittleEndian, elf.Header32{Ident: h.Ident, Type: h.Type, Machine: h.Machine, Version: h.Version, Ehsize: 52})
	} else {
		_ = binary.Write(&b, binary.LittleEndian, h)
	}
	return b.Bytes()
}

// writeImages has tools/image write images of this machine's own binary and
// of what looks like one for others.
func writeImages(t *testing.T, own string) (dir string) {
	t.Helper()
	tool := filepath.Join(t.TempDir(), "image")
	mustRun(t, filepath.Join(root, "tools"), nil, "go", "build", "-trimpath", "-buildvcs=false", "-o", tool, "./image")
	bins := t.TempDir()
	args := []string{}
	for platform, program := range map[string][]byte{
		"linux/amd64": header(elf.EM_X86_64, elf.ELFCLASS64), "linux/arm64": header(elf.EM_AARCH64, elf.ELFCLASS64), "linux/arm/v7": header(elf.EM_ARM, elf.ELFCLASS32),
	} {
		path := filepath.Join(bins, strings.ReplaceAll(platform, "/", "-"))
		if platform == "linux/"+arch(t) {
			path = own
		} else if err := os.WriteFile(path, program, 0o755); err != nil {
			t.Fatal(err)
		}
		args = append(args, platform+"="+path)
	}
	dir = t.TempDir()
	mustRun(t, root, nil, tool, append([]string{"-version", oldVersion, "-created", "1772366400", "-out", dir}, args...)...)
	swapped := []string{"-version", oldVersion, "-out", t.TempDir(), "linux/arm64=" + filepath.Join(bins, "linux-arm-v7")}
	if out, err := run(t, root, nil, tool, swapped...); err == nil || !strings.Contains(out, "is a program for EM_ARM, want EM_AARCH64") {
		t.Errorf("the program of another machine: %v, %s", err, out)
	}
	return dir
}

// tarFiles returns the files of an archive.
func tarFiles(t *testing.T, path string) map[string][]byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
		if files[h.Name], err = io.ReadAll(r); err != nil {
			t.Fatalf("read %s: %v", path, err)
		}
	}
}

// descriptor points to another part of an OCI layout.
type descriptor struct {
	MediaType, Digest string
	Size              int64
	Platform          struct{ Architecture, OS, Variant string }
}

// follow decodes what a descriptor points to, after it has checked digest and
// size.
func follow(t *testing.T, files map[string][]byte, d descriptor, into any) {
	t.Helper()
	data := files["blobs/"+strings.Replace(d.Digest, ":", "/", 1)]
	if sum := sha256.Sum256(data); "sha256:"+hex.EncodeToString(sum[:]) != d.Digest || int64(len(data)) != d.Size {
		t.Fatalf("%s of %d bytes is not in the layout as such", d.Digest, d.Size)
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("decode %s: %v", d.MediaType, err)
	}
}

func TestImagesOfSeveralPlatforms(t *testing.T) {
	t.Parallel()
	own := filepath.Join(packages(t, oldVersion), "work", arch(t), "scaler")
	dir := writeImages(t, own)
	files := tarFiles(t, one(t, dir, "*-oci.tar"))
	if string(files["oci-layout"]) == "" {
		t.Error("the layout has no oci-layout")
	}
	var top, index struct{ Manifests []descriptor }
	if err := json.Unmarshal(files["index.json"], &top); err != nil || len(top.Manifests) != 1 {
		t.Fatalf("index.json has %d manifests: %v", len(top.Manifests), err)
	}
	follow(t, files, top.Manifests[0], &index)
	seen := map[string]bool{}
	for _, d := range index.Manifests {
		var manifest struct {
			Config descriptor
			Layers []descriptor
		}
		follow(t, files, d, &manifest)
		var c struct{ Architecture, OS, Variant string }
		follow(t, files, manifest.Config, &c)
		if c != d.Platform {
			t.Errorf("the image of %+v says that it is %+v", d.Platform, c)
		}
		seen[strings.TrimSuffix(c.OS+"/"+c.Architecture+"/"+c.Variant, "/")] = true
		if len(manifest.Layers) != 1 || manifest.Layers[0].Size > maxImage {
			t.Errorf("layers of %+v: %+v, want one of %d bytes at most", c, manifest.Layers, maxImage)
		}
		for _, l := range manifest.Layers {
			follow(t, files, l, nil)
		}
	}
	if want := map[string]bool{"linux/amd64": true, "linux/arm64": true, "linux/arm/v7": true}; !reflect.DeepEqual(seen, want) {
		t.Errorf("platforms %v, want %v", seen, want)
	}
	t.Run("load", func(t *testing.T) { loadImage(t, one(t, dir, "*-linux-"+arch(t)+"-docker.tar")) })
}

// loadImage loads the image of this machine and compares it with what the
// Dockerfile makes.
func loadImage(t *testing.T, archive string) {
	byDockerfile := makeImage(t)
	const tag = "scaler:" + oldVersion
	if _, err := run(t, root, nil, "docker", "inspect", tag); err == nil {
		t.Skipf("the engine has an image %s that is somebody's", tag)
	}
	t.Cleanup(func() { _, _ = run(t, root, nil, "docker", "rmi", "-f", tag) })
	mustRun(t, root, nil, "docker", "load", "-q", "-i", archive)
	if a, b := inspect(t, tag), inspect(t, byDockerfile); !reflect.DeepEqual(a, b) {
		t.Errorf("tools/image makes\n%+v\nand the Dockerfile\n%+v", a, b)
	}
	checkFiles(t, tag)
	if out := mustRun(t, root, nil, "docker", "run", "--rm", "--read-only", "--cap-drop", "ALL", tag, "version"); !strings.Contains(out, oldVersion) {
		t.Errorf("version: %s", out)
	}
	var size int64
	if err := json.Unmarshal([]byte(mustRun(t, root, nil, "docker", "inspect", "-f", "{{.Size}}", tag)), &size); err != nil || size > maxImage {
		t.Errorf("the image has %d bytes, want %d at most: %v", size, maxImage, err)
	}
}
