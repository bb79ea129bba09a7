package enginetest

import (
	"context"
	"fmt"
	"maps"
	"path"

	"scaler.io/scaler/internal/plan"
)

// ReadFile implements pool.Inspector.
func (e *Engine) ReadFile(ctx context.Context, id, name string) ([]byte, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "ReadFile"); err != nil {
		return nil, err
	}
	c, err := e.find(id)
	if err != nil {
		return nil, err
	}
	data, found := c.files[path.Clean(name)]
	if !found {
		return nil, fmt.Errorf("read %s: %w", name, plan.ErrNotFound)
	}
	return data, nil
}

// WriteFile implements pool.Inspector.
func (e *Engine) WriteFile(ctx context.Context, id string, f plan.File) error {
	e.writing(1)
	defer e.writing(-1)
	if err := sleep(ctx, e.WriteTime); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.begin(ctx, "WriteFile"); err != nil {
		return err
	}
	c, err := e.find(id)
	if err != nil {
		return err
	}
	files := maps.Clone(c.files) // the process reads the one that it was given
	files[path.Clean(f.Path)] = f.Data
	c.files = files
	return nil
}

// writing notes that a write has begun or is over.
func (e *Engine) writing(change int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.writes += change
	e.mostWrites = max(e.mostWrites, e.writes)
}
