package enginetest

import (
	"context"
	"errors"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/enginetest/conformance"
	"scaler.io/scaler/internal/plan"
)

// conformant is the program that package conformance asks for.
func conformant(e *Engine) Process {
	return func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
		id := string(files[IDFile])
		for name, value := range files {
			if variable, found := strings.CutPrefix(name, EnvPrefix); found {
				e.Print(id, variable+"="+string(value))
			}
		}
		if greeting := strings.TrimSuffix(string(files[path.Join(conformance.DataDir, conformance.GreetingFile)]), "\n"); greeting != "" {
			for line := range strings.SplitSeq(greeting, "\n") {
				e.Print(id, line)
			}
		}
		if code, found := files[path.Join(conformance.DataDir, conformance.ExitFile)]; found {
			n, err := strconv.Atoi(string(code))
			if err != nil {
				return 255
			}
			return n
		}
		select {
		case <-term:
			return 0
		case <-ctx.Done():
			return 137
		}
	}
}

func TestConformance(t *testing.T) {
	var base *Engine
	base = New(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
		return conformant(base)(ctx, term, files)
	})
	base.SetPools(map[string]error{conformance.Pool: nil, conformance.BrokenPool: plan.ErrImage})
	conformance.Run(t, conformance.Rig{
		Adapter: func(*testing.T) conformance.Engine { return base.For("ours") },
		Other:   func(*testing.T) conformance.Engine { return base.For("theirs") },
		Vanish: func(t *testing.T, id string) {
			c, err := base.For("ours").Inspect(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			base.Vanish(c.Runner)
		},
		Cut: func(*testing.T) (e conformance.Engine, cut, mend func()) {
			var apart *Engine
			apart = New(func(ctx context.Context, term <-chan struct{}, files map[string][]byte) int {
				return conformant(apart)(ctx, term, files)
			})
			return apart, func() { apart.Cut(errors.New("cut off")) }, func() { apart.Cut(nil) }
		},
		Patience: time.Minute,
	})
	base.Wait()
}
