// Command image writes the container image for several platforms without an
// engine or a registry: one OCI layout of them all, and for each platform an
// archive that docker load takes. The same binaries give the same bytes.
//
//	image -version v1.2.3 -created 1772366400 -out dist linux/amd64=PATH linux/arm64=PATH
//
// What an image is made of is that of the Dockerfile; a test compares the two.
package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func main() {
	version := flag.String("version", "", "version that the image is tagged and labelled with")
	created := flag.Int64("created", 0, "date of everything, in seconds since 1970")
	out := flag.String("out", "", "directory to write to")
	flag.Parse()
	if err := write(*version, time.Unix(*created, 0).UTC(), *out, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "image: %v\n", err)
		os.Exit(1)
	}
}

// machines has the platforms that there are images for.
var machines = map[string]elf.Machine{
	"linux/amd64":  elf.EM_X86_64,
	"linux/arm64":  elf.EM_AARCH64,
	"linux/arm/v7": elf.EM_ARM,
}

// write writes the images of all binaries, each given as PLATFORM=PATH.
func write(version string, created time.Time, out string, binaries []string) error {
	if version == "" || out == "" || len(binaries) == 0 {
		return errors.New("-version, -out and at least one PLATFORM=BINARY are needed")
	}
	tag, err := name.NewTag("scaler:" + strings.ReplaceAll(version, "+", "-"))
	if err != nil {
		return fmt.Errorf("make a tag of version %s: %w", version, err)
	}
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, given := range binaries {
		platform, path, _ := strings.Cut(given, "=")
		img, err := build(platform, path, version, created)
		if err != nil {
			return fmt.Errorf("make image for %s: %w", platform, err)
		}
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return fmt.Errorf("read platform %s: %w", platform, err)
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: p}})
		archive := filepath.Join(out, fmt.Sprintf("scaler-%s-%s-docker.tar", version, strings.ReplaceAll(platform, "/", "-")))
		if err := tarball.WriteToFile(archive, tag, img); err != nil {
			return fmt.Errorf("write %s: %w", archive, err)
		}
	}
	return writeLayout(filepath.Join(out, fmt.Sprintf("scaler-%s-oci.tar", version)), version, index, created)
}

// build makes the image of one platform.
func build(platform, path, version string, created time.Time) (v1.Image, error) {
	binary, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read binary: %w", err)
	}
	if err := check(platform, path, binary); err != nil {
		return nil, err
	}
	content, err := files(binary, created)
	if err != nil {
		return nil, fmt.Errorf("archive files: %w", err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, fmt.Errorf("make layer: %w", err)
	}
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, fmt.Errorf("read platform: %w", err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	base, err = mutate.ConfigFile(base, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant,
		Created: v1.Time{Time: created}, Config: config(version), RootFS: v1.RootFS{Type: "layers"},
	})
	if err != nil {
		return nil, fmt.Errorf("set configuration: %w", err)
	}
	return mutate.Append(base, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: created}, CreatedBy: "scaler " + version}})
}

// check sees to it that no image has the program of another platform.
func check(platform, path string, binary []byte) error {
	want, known := machines[platform]
	if !known {
		return fmt.Errorf("no such platform: there are linux/amd64, linux/arm64 and linux/arm/v7")
	}
	f, err := elf.NewFile(bytes.NewReader(binary))
	if err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	if f.Machine != want {
		return fmt.Errorf("%s is a program for %v, want %v", path, f.Machine, want)
	}
	return nil
}

// The daemon's user. It owns the directories, and not the binary.
const uid = 65532

// files is the file system of the image, as an archive.
func files(binary []byte, created time.Time) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []tar.Header{
		{Name: "run/", Mode: 0o755},
		{Name: "run/scaler/", Mode: 0o750, Uid: uid, Gid: uid},
		{Name: "scaler", Mode: 0o755, Size: int64(len(binary))},
		{Name: "var/", Mode: 0o755},
		{Name: "var/lib/", Mode: 0o755},
		{Name: "var/lib/scaler/", Mode: 0o700, Uid: uid, Gid: uid},
	} {
		h.ModTime, h.Typeflag = created, tar.TypeDir
		if h.Size > 0 {
			h.Typeflag = tar.TypeReg
		}
		if err := w.WriteHeader(&h); err != nil {
			return nil, err
		}
		if h.Size > 0 {
			if _, err := w.Write(binary); err != nil {
				return nil, err
			}
		}
	}
	return b.Bytes(), w.Close()
}

// config says how the image is run.
func config(version string) v1.Config {
	user := fmt.Sprintf("%d:%[1]d", uid)
	return v1.Config{
		User:       user,
		Entrypoint: []string{"/scaler"},
		Cmd:        []string{"run", "--config", "/etc/scaler/scaler.yaml"},
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
		Volumes:    map[string]struct{}{"/var/lib/scaler": {}},
		StopSignal: "SIGTERM",
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/scaler", "health", "--config", "/etc/scaler/scaler.yaml"},
			Interval: 30 * time.Second, Timeout: 10 * time.Second, StartPeriod: 30 * time.Second,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":       "scaler",
			"org.opencontainers.image.description": "Gitea Actions runners on demand",
			"org.opencontainers.image.licenses":    "MIT",
			"org.opencontainers.image.url":         "https://scaler.io/scaler",
			"org.opencontainers.image.version":     version,
		},
	}
}

// writeLayout writes an archive of an OCI layout with the one index in it, see
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md.
func writeLayout(path, version string, index v1.ImageIndex, created time.Time) (err error) {
	dir, err := os.MkdirTemp("", "scaler-image")
	if err != nil {
		return fmt.Errorf("make directory for the layout: %w", err)
	}
	defer os.RemoveAll(dir)
	l, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = l.AppendIndex(index, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": version}))
	}
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := tar.NewWriter(f)
	err = filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.ToSlash(rel), Mode: 0o644, Size: int64(len(data)), ModTime: created}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
