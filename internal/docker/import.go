package docker

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/docker/docker/api/types/image"

	"scaler.io/scaler/internal/plan"
)

const importTimeout = 2 * time.Minute

// imageSpec is the content of an image that is made without a base image.
type imageSpec struct {
	binary     string // a static executable on this machine
	entrypoint []string
	labels     map[string]string
	dirs       []tar.Header // name, mode and owner of directories
	files      []plan.File
	changes    []string // further Dockerfile instructions
}

// ImportImage makes an image with the name ref from one static binary, as
// FROM scratch would: nothing is pulled. The binary is put at entrypoint[0],
// an absolute path. The image has the working directory /data and a /tmp for
// everybody, and carries the given labels and LabelInstance. An image that
// had this name before loses it.
func (e *Engine) ImportImage(ctx context.Context, ref, binaryPath string, entrypoint []string, labels map[string]string) error {
	return e.importImage(ctx, ref, imageSpec{
		binary:     binaryPath,
		entrypoint: entrypoint,
		labels:     labels,
		dirs:       []tar.Header{{Name: "data/", Mode: 0o755}, {Name: "tmp/", Mode: 0o1777}},
		changes:    []string{"WORKDIR " + defaultDataDir},
	})
}

func (e *Engine) importImage(ctx context.Context, ref string, spec imageSpec) error {
	what := "import image " + ref
	if len(spec.entrypoint) == 0 || !path.IsAbs(spec.entrypoint[0]) {
		return fmt.Errorf("%s: the entrypoint must begin with an absolute path", what)
	}
	changes, err := e.importChanges(spec)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	reader, writer := io.Pipe()
	defer func() { _ = reader.Close() }()
	go func() { _ = writer.CloseWithError(writeImage(writer, spec)) }()
	err = e.callWithin(ctx, importTimeout, opImageImport, what, func(ctx context.Context) error {
		source := image.ImportSource{Source: reader, SourceName: "-"}
		report, err := e.client.ImageImport(ctx, source, ref, image.ImportOptions{Changes: changes})
		if err != nil {
			return err
		}
		defer func() { _ = report.Close() }()
		return readReport(report)
	})
	if err == nil {
		e.markImage(ref, true)
	}
	return err
}

// importChanges returns the image's configuration as Dockerfile instructions.
func (e *Engine) importChanges(spec imageSpec) ([]string, error) {
	entrypoint, err := json.Marshal(spec.entrypoint)
	if err != nil {
		return nil, fmt.Errorf("encode entrypoint: %w", err)
	}
	labels := map[string]string{}
	maps.Copy(labels, spec.labels)
	labels[LabelInstance] = e.instance
	changes := append([]string{"ENTRYPOINT " + string(entrypoint)}, spec.changes...)
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		if strings.ContainsAny(name+labels[name], "\r\n") {
			return nil, fmt.Errorf("label %q: line breaks are not possible", name)
		}
		changes = append(changes, "LABEL "+quote(name)+"="+quote(labels[name]))
	}
	return changes, nil
}

// quote returns a Dockerfile word that stands for s, with nothing expanded.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`).Replace(s) + `"`
}

// writeImage writes the root file system. All times are the epoch, so that
// the same binary gives the same layer.
func writeImage(w io.Writer, spec imageSpec) error {
	binary, err := os.Open(spec.binary)
	if err != nil {
		return fmt.Errorf("open binary: %w", err)
	}
	defer func() { _ = binary.Close() }()
	info, err := binary.Stat()
	if err != nil {
		return fmt.Errorf("read size of binary: %w", err)
	}
	if !info.Mode().IsRegular() {
		return errors.New("open binary: not a regular file")
	}
	tw := tar.NewWriter(w)
	for _, dir := range spec.dirs {
		dir.Typeflag = tar.TypeDir
		if err := tw.WriteHeader(&dir); err != nil {
			return fmt.Errorf("write directory: %w", err)
		}
	}
	for _, f := range spec.files {
		if err := writeFile(tw, f, owner{}); err != nil {
			return err
		}
	}
	name := strings.TrimPrefix(path.Clean(spec.entrypoint[0]), "/")
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: info.Size()}
	if err := tw.WriteHeader(header); err != nil {
		return fmt.Errorf("write binary: %w", err)
	}
	if _, err := io.Copy(tw, binary); err != nil {
		return fmt.Errorf("write binary: %w", err)
	}
	return tw.Close()
}

// RemoveImage removes the image that ImportImage made. It refuses with
// ErrForeign any other, and the engine refuses one that a container still
// uses. An image that does not exist is success.
func (e *Engine) RemoveImage(ctx context.Context, ref string) error {
	what := "remove image " + ref
	err := e.call(ctx, opImageRemove, what, func(ctx context.Context) error {
		found, err := e.client.ImageInspect(ctx, ref)
		if err != nil {
			return err
		}
		if found.Config == nil || found.Config.Labels[LabelInstance] != e.instance {
			return ErrForeign
		}
		_, err = e.client.ImageRemove(ctx, ref, image.RemoveOptions{PruneChildren: true})
		return err
	})
	if err != nil && !errors.Is(err, plan.ErrNotFound) {
		return err
	}
	e.markImage(ref, false)
	return nil
}
