package giteatest_test

import (
	"strconv"
	"strings"

	"scaler.io/scaler/internal/giteatest"
)

// release is a profile as checks ask for it: Gitea 1.24 is 24, Forgejo 15 is 15.
type release struct {
	forgejo bool
	number  int
}

// releaseOf reads a profile's name.
func releaseOf(p giteatest.Profile) release {
	product, number, _ := strings.Cut(p.String(), "-")
	n, err := strconv.Atoi(strings.TrimPrefix(number, "1."))
	if err != nil {
		panic("profile " + p.String())
	}
	return release{product == "forgejo", n}
}

// codes reports whether runners' calls fail with codes of Connect.
func (r release) codes() bool { return forgejo(11)(r) }

// span says which releases a check holds for.
type span func(release) bool

func every(release) bool { return true }

// runnersListed are the releases whose API has runners.
func runnersListed(r release) bool { return either(gitea(24), forgejo(15))(r) }

// gitea are the releases of Gitea from one on, or up to another.
func gitea(from int, to ...int) span {
	return func(r release) bool { return !r.forgejo && within(r.number, from, to) }
}

// forgejo are the releases of Forgejo from one on, or up to another.
func forgejo(from int, to ...int) span {
	return func(r release) bool { return r.forgejo && within(r.number, from, to) }
}

func within(n, from int, to []int) bool { return n >= from && (len(to) == 0 || n <= to[0]) }

// either is a span of several.
func either(spans ...span) span {
	return func(r release) bool {
		for _, s := range spans {
			if s(r) {
				return true
			}
		}
		return false
	}
}
