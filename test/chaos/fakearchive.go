package main

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"time"
)

// putArchive unpacks an archive below the container's root.
func (e *fakeEngine) putArchive(w http.ResponseWriter, r *http.Request) {
	c, err := e.inspect(r.PathValue("id"))
	if err == nil {
		err = unpack(r.Body, filepath.Join(c.root, filepath.FromSlash(path.Clean("/"+r.URL.Query().Get("path")))))
	}
	if err != nil {
		fail(w, err)
	}
}

// unpack writes regular files and directories. A file takes the place of the
// one before in one step, for a running container may be reading it.
func unpack(archive io.Reader, root string) error {
	tr := tar.NewReader(archive)
	for {
		header, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read archive: %w", err)
		}
		target := filepath.Join(root, filepath.FromSlash(path.Clean("/"+header.Name)))
		if header.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(target, 0o700); err != nil {
				return fmt.Errorf("unpack %s: %w", header.Name, err)
			}
			continue
		}
		data, err := io.ReadAll(tr)
		if err == nil {
			err = replaceFile(target, data)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", header.Name, err)
		}
	}
}

// replaceFile writes a file so that readers see the old or the new content.
func replaceFile(target string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(target), 0o700); err != nil {
		return err
	}
	draft := target + ".new"
	if err := os.WriteFile(draft, data, 0o600); err != nil {
		return err
	}
	return os.Rename(draft, target)
}

// getArchive answers one file as an archive, or to HEAD what it is.
func (e *fakeEngine) getArchive(w http.ResponseWriter, r *http.Request) {
	c, err := e.inspect(r.PathValue("id"))
	if err != nil {
		fail(w, err)
		return
	}
	name := path.Clean("/" + r.URL.Query().Get("path"))
	file := filepath.Join(c.root, filepath.FromSlash(name))
	info, err := os.Stat(file)
	if err != nil {
		refuse(w, http.StatusNotFound, fmt.Errorf("could not find the file %s in container %s", name, c.id))
		return
	}
	stat, err := json.Marshal(map[string]any{"name": path.Base(name), "size": info.Size(), "mode": info.Mode(), "mtime": info.ModTime().Format(time.RFC3339)})
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString(stat))
	w.Header().Set("Content-Type", "application/x-tar")
	if r.Method == http.MethodHead {
		return
	}
	archive, err := pack(file, info)
	if err != nil {
		fail(w, err)
		return
	}
	_, _ = w.Write(archive) // the client may be gone
}

// pack archives a regular file, or a directory without its content.
func pack(file string, info os.FileInfo) ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	header, err := tar.FileInfoHeader(info, "")
	if err != nil {
		return nil, err
	}
	if err := tw.WriteHeader(header); err != nil {
		return nil, err
	}
	if info.Mode().IsRegular() {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if _, err := tw.Write(data); err != nil {
			return nil, err
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}
