package plan

import (
	"bytes"
	"math/bits"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Serves reports whether a runner of the pool may take the job, by the server's
// own rule: every entry of runs-on is a label of the runner, exact and
// case-sensitive, and the runner's scope covers the repository. For many jobs
// or pools a Matcher gives the same answer at less cost.
func (p Pool) Serves(job Job) bool {
	return job.Barred == "" && p.Scope.Covers(job.Repo) && hasAll(p.Labels, job.Labels)
}

// hasAll reports whether a list of labels has all those that are wanted.
func hasAll(labels, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(l string) bool { return !slices.Contains(labels, l) })
}

// Matcher knows which of some pools may take which jobs, by the rule of
// Pool.Serves. A job costs it a look-up for its repository and one for each of
// its labels, however many pools there are. It keeps the names of the pools'
// labels and scopes, and sees no later change of them. It is safe for
// concurrent use.
type Matcher struct {
	width    int                // words of a set
	instance poolSet            // the pools that cover every repository
	owners   map[string]poolSet // by the owner that their scope covers, folded
	repos    map[string]poolSet // by the repository "owner/name" that it covers, folded
	labels   map[string]poolSet // by a label that they have
}

// NewMatcher makes a matcher of the pools.
func NewMatcher(pools []Pool) *Matcher {
	return newMatcher(len(pools), func(i int) *Pool { return &pools[i] })
}

func newMatcher(pools int, at func(i int) *Pool) *Matcher {
	width := (pools + 63) / 64
	m := &Matcher{width: width, instance: make(poolSet, width), owners: make(map[string]poolSet),
		repos: make(map[string]poolSet), labels: make(map[string]poolSet)}
	for i := range pools {
		p := at(i)
		switch p.Scope.Kind {
		case ScopeInstance:
			m.instance.add(i)
		case ScopeOrg, ScopeUser:
			addTo(m.owners, fold(p.Scope.Owner), i, width)
		case ScopeRepo:
			if owner := fold(p.Scope.Owner); !strings.Contains(owner, "/") {
				addTo(m.repos, owner+"/"+fold(p.Scope.Repo), i, width)
			}
		}
		for _, l := range p.Labels {
			addTo(m.labels, l, i, width)
		}
	}
	return m
}

func addTo(sets map[string]poolSet, key string, pool, width int) {
	s, known := sets[key]
	if !known {
		s = make(poolSet, width)
		sets[key] = s
	}
	s.add(pool)
}

// Serves reports whether a runner of any of the pools may take the job.
func (m *Matcher) Serves(job Job) bool { return m.First(job) != none }

// First is the first of the pools whose runners may take the job, or -1.
func (m *Matcher) First(job Job) int {
	if job.Barred != "" {
		return none
	}
	var words [8]uint64
	set := poolSet(words[:])
	if m.width > len(words) {
		set = make(poolSet, m.width)
	}
	set = set[:m.width]
	m.cover(set, job.Repo)
	m.keepWith(set, job.Labels)
	for w, word := range set {
		if word != 0 {
			return w*64 + bits.TrailingZeros64(word)
		}
	}
	return none
}

// cover sets the set to the pools whose scope covers the repository, as
// Scope.Covers has it.
func (m *Matcher) cover(set poolSet, repo string) {
	copy(set, m.instance)
	var room [96]byte
	folded := appendFolded(room[:0], repo)
	slash := bytes.IndexByte(folded, '/')
	if slash < 0 {
		slash, folded = len(folded), append(folded, '/')
	}
	set.addAll(m.owners[string(folded[:slash])])
	set.addAll(m.repos[string(folded)])
}

// keepWith takes the pools out of the set that lack one of the labels.
func (m *Matcher) keepWith(set poolSet, labels []string) {
	for _, l := range labels {
		with, known := m.labels[l]
		if !known {
			clear(set)
			return
		}
		set.keep(with)
	}
}

// fold brings names that strings.EqualFold takes for equal into one form.
func fold(name string) string { return string(appendFolded(nil, name)) }

func appendFolded(to []byte, name string) []byte {
	for _, r := range name {
		switch {
		case 'A' <= r && r <= 'Z':
			to = append(to, byte(r)+'a'-'A')
		case r < utf8.RuneSelf:
			to = append(to, byte(r))
		default:
			to = utf8.AppendRune(to, foldRune(r))
		}
	}
	return to
}

// foldRune is the least of the letters that differ in case only, in lower case
// if it is an ASCII one, as the Kelvin sign's is.
func foldRune(r rune) rune {
	least := r
	for o := unicode.SimpleFold(r); o != r; o = unicode.SimpleFold(o) {
		least = min(least, o)
	}
	if 'A' <= least && least <= 'Z' {
		least += 'a' - 'A'
	}
	return least
}
