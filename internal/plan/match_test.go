package plan

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// Letters that differ from one another in case only, in part across the border
// of ASCII, and bytes that are no letters at all.
var oddLetters = []string{"a", "A", "k", "K", "\u212a", "s", "S", "\u017f", "σ", "ς", "Σ", "ß", "ẞ", "ı", "İ", "i", "I", "ǅ", "ǆ", "\xff", "\xc3", "\ufffd", "-", "/"}

func oddName(r *rand.Rand) string {
	var b strings.Builder
	for range r.IntN(4) {
		b.WriteString(oddLetters[r.IntN(len(oddLetters))])
	}
	return b.String()
}

func TestFoldGoesByEqualFold(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 6))
	for range 200_000 {
		a, b := oddName(r), oddName(r)
		if got, want := fold(a) == fold(b), strings.EqualFold(a, b); got != want {
			t.Fatalf("fold(%q) is %q and fold(%q) is %q, but EqualFold says %v", a, fold(a), b, fold(b), want)
		}
	}
}

func TestMatcherGoesByServes(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 7))
	labels := []string{"linux", "x64", "gpu", "arm", "large"}
	served := 0
	for _, n := range []int{0, 1, 2, 3, 5, 8, 63, 64, 65, 130, 512, 513, 700} {
		var pools []Pool
		for i := range n {
			p := Pool{Name: strconv.Itoa(i), Labels: subset(r, labels), Scope: Scope{Kind: ScopeKind(oddName(r)), Owner: oddName(r), Repo: oddName(r)}}
			if r.IntN(16) > 0 {
				p.Scope.Kind = []ScopeKind{ScopeOrg, ScopeUser, ScopeRepo, ScopeRepo}[r.IntN(4)]
			}
			if i%100 == 70 {
				p.Scope.Kind = ScopeInstance
			}
			pools = append(pools, p)
		}
		m := NewMatcher(pools)
		for range 2_000 {
			job := Job{Repo: oddName(r) + "/" + oddName(r), Labels: subset(r, append(labels, "vax"))}
			if r.IntN(8) == 0 {
				job.Repo = oddName(r)
			}
			want := slices.ContainsFunc(pools, func(p Pool) bool { return p.Serves(job) })
			if got := m.Serves(job); got != want {
				t.Fatalf("%d pools, job of %q with %q: matcher %v, pools %v", n, job.Repo, job.Labels, got, want)
			}
			if want {
				served++
			}
		}
	}
	if served < 1_000 {
		t.Errorf("only %d jobs were served: the test tests too little", served)
	}
}

func TestMatcherIsSafeForConcurrentUse(t *testing.T) {
	spec, snap := fleet(fleetSize{jobs: 500, runners: 1, pools: 100})
	m := NewMatcher(spec.Pools)
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for _, job := range snap.Jobs {
				if m.Serves(job) != slices.ContainsFunc(spec.Pools, func(p Pool) bool { return p.Serves(job) }) {
					t.Errorf("job %d of %s: the matcher goes wrong", job.ID, job.Repo)
				}
			}
		})
	}
	group.Wait()
}
