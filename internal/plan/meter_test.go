package plan

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
)

// constants returns the values of the package's constants of a type.
func constants(t *testing.T, typeName string) []string {
	t.Helper()
	files := token.NewFileSet()
	var values []string
	for _, name := range []string{"meter.go", "obstacle.go"} {
		f, err := parser.ParseFile(files, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if of, ok := spec.Type.(*ast.Ident); !ok || of.Name != typeName {
				return true
			}
			for _, v := range spec.Values {
				value, err := strconv.Unquote(v.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
			return true
		})
	}
	if len(values) < 2 {
		t.Fatalf("only %d constants of type %s found", len(values), typeName)
	}
	slices.Sort(values)
	return values
}

func words[T ~string](lists ...[]T) []string {
	var all []string
	for _, list := range lists {
		for _, w := range list {
			all = append(all, string(w))
		}
	}
	slices.Sort(all)
	return all
}

// Who counts by these words relies on the lists' having all of them.
func TestListsOfWordsAreComplete(t *testing.T) {
	for name, list := range map[string][]string{
		"Cause":        words(StartCauses(), StopCauses()),
		"Failure":      words(Failures()),
		"Span":         words(StepSpans(), []Span{SpanWait}),
		"Remains":      words(AllRemains()),
		"ObstacleKind": words(ObstacleKinds()),
	} {
		if want := constants(t, name); !slices.Equal(list, want) {
			t.Errorf("%s: listed are %q, there are %q", name, list, want)
		}
	}
}

// Each start and each way out has a cause, and each unserved job an obstacle and,
// if it fits a pool, that pool.
func TestPlansNameCausesAndObstacles(t *testing.T) {
	starts, stops, kinds := words(StartCauses()), words(StopCauses()), words(ObstacleKinds())
	seen := make(map[string]int)
	for seed := range uint64(3_000) {
		spec, snap := crowd(rand.New(rand.NewPCG(seed, 5)))
		p := Compute(spec, snap)
		for _, a := range p.Actions {
			seen[string(a.Cause)]++
			switch cause := string(a.Cause); a.Kind {
			case ActionStart, ActionPrepare, ActionRestart:
				if !slices.Contains(starts, cause) {
					t.Fatalf("seed %d: %+v", seed, a)
				}
			case ActionDrain:
				if !slices.Contains(stops, cause) {
					t.Fatalf("seed %d: %+v", seed, a)
				}
			case ActionRemove:
				if cause != "" && !slices.Contains(stops, cause) {
					t.Fatalf("seed %d: %+v", seed, a)
				}
			default:
				if cause != "" {
					t.Fatalf("seed %d: %+v", seed, a)
				}
			}
		}
		matcher := NewMatcher(spec.Pools)
		for _, d := range p.Decisions {
			if d.Served() {
				if d.Kind != "" || d.Fits != "" {
					t.Fatalf("seed %d: served, and %q keeps it from %q", seed, d.Kind, d.Fits)
				}
				continue
			}
			seen[string(d.Kind)]++
			fits := matcher.First(*d.Job) >= 0
			unfit := d.Kind == ObstacleLabel || d.Kind == ObstacleScope
			if !slices.Contains(kinds, string(d.Kind)) || fits == unfit || fits != (d.Fits != "") {
				t.Fatalf("seed %d: job %+v that fits a pool (%v) has the obstacle %q and fits %q: %s", seed, d.Job, fits, d.Kind, d.Fits, d.Reason)
			}
			if pool := spec.Pool(d.Fits); fits && (pool == nil || !pool.Scope.Covers(d.Job.Repo)) {
				t.Fatalf("seed %d: job %+v fits %q?", seed, d.Job, d.Fits)
			}
		}
		for i, c := range p.Pools {
			if (c.HoldKind == "") != (c.Hold == "") || c.HoldKind != "" && !slices.Contains(HoldKinds(), c.HoldKind) {
				t.Fatalf("seed %d: pool %+v on hold by %q: %q", seed, spec.Pools[i].Name, c.HoldKind, c.Hold)
			}
		}
	}
	for _, want := range []string{"job", "min", "idle", "restart", "surplus", "max", "boot", "no_pool", "label", "scope", "server", "engine"} {
		if seen[want] == 0 {
			t.Errorf("%s was never seen in %v", want, seen)
		}
	}
}
