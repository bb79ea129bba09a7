package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/docker/docker/api/types/container"

	"scaler.io/scaler/internal/plan"
)

// maxFile bounds what ReadFile returns.
const maxFile = 1 << 20

// putFiles copies the files into a container that need not run. The archive
// holds the files alone: the engine makes missing parents, and an entry for an
// existing directory would change its mode and owner. Only where the
// container's user could not otherwise write beside a file is the missing
// directory made for that user.
func (e *Engine) putFiles(ctx context.Context, c container.InspectResponse, files []plan.File) error {
	if len(files) == 0 {
		return nil
	}
	for _, f := range files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			return fmt.Errorf("put file %q: the path must be absolute and clean", f.Path)
		}
	}
	user, err := e.ownerOf(ctx, c)
	if err != nil {
		return fmt.Errorf("put files into %s: %w", name(c), err)
	}
	var dirs []string
	if user.uid != 0 {
		if dirs, err = e.missingDirs(ctx, c.ID, files); err != nil {
			return err
		}
	}
	archive, err := archiveFiles(dirs, files, user)
	if err != nil {
		return fmt.Errorf("put files into %s: %w", name(c), err)
	}
	return e.call(ctx, opFilesPut, "put files into "+name(c), func(ctx context.Context) error {
		return e.client.CopyToContainer(ctx, c.ID, "/", archive, container.CopyToContainerOptions{})
	})
}

// WriteFile puts one file into the container, running or not. The error wraps
// plan.ErrNotFound if there is no such container.
func (e *Engine) WriteFile(ctx context.Context, id string, file plan.File) error {
	found, err := e.inspect(ctx, id)
	if err != nil {
		return fmt.Errorf("write %s: %w", file.Path, err)
	}
	return e.putFiles(ctx, found, []plan.File{file})
}

// missingDirs returns the direct parents of the files that the container does
// not have.
func (e *Engine) missingDirs(ctx context.Context, id string, files []plan.File) ([]string, error) {
	parents := map[string]bool{}
	for _, f := range files {
		parents[path.Dir(f.Path)] = true
	}
	var missing []string
	for _, dir := range slices.Sorted(maps.Keys(parents)) {
		err := e.call(ctx, opFilesLook, "look for directory "+dir, func(ctx context.Context) error {
			_, err := e.client.ContainerStatPath(ctx, id, dir)
			return err
		})
		if errors.Is(err, plan.ErrNotFound) {
			missing = append(missing, dir)
		} else if err != nil {
			return nil, err
		}
	}
	return missing, nil
}

func archiveFiles(dirs []string, files []plan.File, user owner) (io.Reader, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, dir := range dirs {
		header := &tar.Header{
			Typeflag: tar.TypeDir, Name: strings.TrimPrefix(dir, "/") + "/", Mode: 0o755,
			Uid: user.uid, Gid: user.gid,
		}
		if err := tw.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("archive %s: %w", dir, err)
		}
	}
	for _, f := range files {
		if err := writeFile(tw, f, user); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, fmt.Errorf("archive files: %w", err)
	}
	return &buf, nil
}

func writeFile(tw *tar.Writer, f plan.File, user owner) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(f.Path, "/"), Mode: f.Mode,
		Uid: user.uid, Gid: user.gid, Size: int64(len(f.Data)),
	}
	if err := tw.WriteHeader(header); err != nil {
		return fmt.Errorf("archive %s: %w", f.Path, err)
	}
	if _, err := tw.Write(f.Data); err != nil {
		return fmt.Errorf("archive %s: %w", f.Path, err)
	}
	return nil
}

// ReadFile returns a regular file of at most 1 MiB from a container of ours in
// any state. The error wraps plan.ErrNotFound if the container or the file
// does not exist.
func (e *Engine) ReadFile(ctx context.Context, id, file string) ([]byte, error) {
	full, err := e.own(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("read file %s: %w", file, err)
	}
	return e.readFile(ctx, full, file)
}

func (e *Engine) readFile(ctx context.Context, id, file string) (data []byte, err error) {
	err = e.call(ctx, opFilesRead, "read file "+file, func(ctx context.Context) error {
		archive, _, err := e.client.CopyFromContainer(ctx, id, file)
		if err != nil {
			return err
		}
		defer func() { _ = archive.Close() }()
		tr := tar.NewReader(archive)
		header, err := tr.Next()
		switch {
		case err != nil:
			return fmt.Errorf("read archive: %w", err)
		case header.Typeflag != tar.TypeReg:
			return errors.New("not a regular file")
		case header.Size > maxFile:
			return fmt.Errorf("%d bytes are more than the %d that are allowed", header.Size, maxFile)
		}
		data, err = io.ReadAll(tr)
		return err
	})
	return data, err
}
