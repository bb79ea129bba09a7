package plan

import (
	"slices"
	"strconv"
	"time"
)

// refusals says why jobs are not served. Jobs that are alike share one text.
type refusals struct {
	*computation
	full  []refusal         // for each pool why it starts no more runners
	kinds []refusal         // by kind of job, where asked for
	unfit map[string]string // the texts for jobs of no kind, by themselves
	short shortfall
}

// refusal is why there is no runner for a job, and what there may be one after.
type refusal struct {
	why, next string
	until     time.Time // when that is, zero if that is not known
	kind      ObstacleKind
	fits      string // the pool that would be the first to serve it, empty if it fits none
}

// of says what stands between a job and each pool.
func (r *refusals) of(job *Job, kind int32) refusal {
	switch {
	case len(r.pools) == 0:
		return refusal{why: "no pool is configured", kind: ObstacleLabel}
	case job.Barred != "":
		return refusal{why: job.Barred, kind: ObstacleLabel}
	case kind == none:
		why := r.whyNoPool(job)
		return refusal{why: why, kind: r.short.kind()}
	case r.kinds == nil:
		r.kinds = make([]refusal, len(r.assigned.fixed))
		for _, p := range r.pools {
			r.full = append(r.full, r.ofFull(p))
		}
	}
	if r.kinds[kind].why == "" {
		r.kinds[kind] = refusal{why: r.whyNoPlace(kind), next: r.nextOf(kind)}
		for i := range r.assigned.kinds.set(kind).all {
			r.kinds[kind].kind, r.kinds[kind].fits = r.ofPool(i, kind).kind, r.pools[i].Name
			break
		}
	}
	return r.kinds[kind]
}

// ofFull says why a pool without a free runner starts none. It starts one when
// the last obstacle is out of the way.
func (c *computation) ofFull(p *pool) refusal {
	list := c.obstacles(p)
	if len(list) == 0 {
		return refusal{kind: ObstacleMax, why: "pool " + p.Name + " starts no more runners"}
	}
	r := refusal{why: list[0].Reason, next: list[0].Next, until: list[0].Until, kind: list[0].Kind}
	for _, o := range list[1:] {
		if !r.until.IsZero() && (o.Until.IsZero() || o.Until.After(r.until)) {
			r.next, r.until = o.Next, o.Until
		}
	}
	return r
}

// ofPool is why a pool serves no job of a kind: what it says to all, or that its
// ceiling for them is reached.
func (r *refusals) ofPool(i int, kind int32) refusal {
	if o, reached := r.ceiling(i, kind); reached && r.pools[i].hold == "" {
		return refusal{why: o.Reason, next: o.Next, kind: o.Kind}
	}
	return r.full[i]
}

// ceiling is the one that keeps a kind of jobs out of a pool, if one does.
func (c *computation) ceiling(i int, kind int32) (Obstacle, bool) {
	return c.assigned.ceilings.obstacle(c.assigned.kinds.repo[kind], i, c.pools[i])
}

// whyNoPlace lists what the pools of a kind of jobs say, a repeated reason once.
func (r *refusals) whyNoPlace(kind int32) string {
	text, last := r.text[:0], ""
	for i := range r.assigned.kinds.set(kind).all {
		why := r.ofPool(i, kind).why
		if why == last {
			continue
		}
		if last != "" {
			text = append(text, "; "...)
		}
		last = why
		text = append(text, last...)
	}
	r.text = text
	return string(text)
}

// nextOf is when the first of the pools of a kind can start a runner: the earliest moment
// that is known, and the first of what may come before.
func (r *refusals) nextOf(kind int32) string {
	var known, unknown refusal
	for i := range r.assigned.kinds.set(kind).all {
		switch f := r.ofPool(i, kind); {
		case f.until.IsZero() && unknown.next == "":
			unknown = f
		case !f.until.IsZero() && (known.until.IsZero() || f.until.Before(known.until)):
			known = f
		}
	}
	if known.next == "" || unknown.next == "" {
		return known.next + unknown.next
	}
	return known.next + ", or " + unknown.next
}

// whyNoPool says for a job that matches no pool what each pool lacks. Where
// nearly every job is told something else there is little to share, so that it
// keeps some of the texts only.
func (r *refusals) whyNoPool(job *Job) string {
	const most = 500
	if r.unfit == nil {
		r.unfit, r.short = make(map[string]string), newShortfall(r.matcher)
	}
	r.short.compare(job)
	r.text = r.describe(r.text[:0], job)
	if why, known := r.unfit[string(r.text)]; known {
		return why
	}
	why := string(r.text)
	if len(r.unfit) < most {
		r.unfit[why] = why
	}
	return why
}

// describe writes what the pools lack that are nearest to a job, and which
// would do but for their scope. Of many it names a few.
func (r *refusals) describe(text []byte, job *Job) []byte {
	const most = 3
	s := &r.short
	if s.covered.empty() {
		return append(append(text, "no pool's scope covers "...), job.Repo...)
	}
	text = appendList(append(text, "no pool has all of runs-on ["...), job.Labels)
	text = append(text, "]: "...)
	named := 0
	for i := range s.outside.all {
		if named++; named > most {
			break
		}
		text = append(append(append(text, "pool "...), r.pools[i].Name...), " has it, but "...)
		text = append(appendOutside(text, r.pools[i].Scope, job.Repo), "; "...)
	}
	for i := range s.near.all {
		if named++; named > most {
			break
		}
		text = append(appendLacks(text, r.pools[i].Name, s.missing(i)), "; "...)
	}
	if more := s.outside.size() + s.near.size() - most; more > 0 {
		return append(strconv.AppendInt(append(text, "and "...), int64(more), 10), " more"...)
	}
	return text[:len(text)-len("; ")]
}

// appendOutside says that a scope does not reach a repository.
func appendOutside(text []byte, scope Scope, repo string) []byte {
	text = append(append(text, "its scope "...), scope.String()...)
	return append(append(text, " does not cover "...), repo...)
}

// appendLacks says which labels a pool does not have.
func appendLacks(text []byte, pool string, labels []string) []byte {
	text = append(append(append(text, "pool "...), pool...), " lacks "...)
	return appendList(text, labels)
}

func appendList(text []byte, list []string) []byte {
	for i, s := range list {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(text, s...)
	}
	return text
}

// shortfall compares a job that no pool may serve with all pools at once.
type shortfall struct {
	matcher *Matcher
	covered poolSet // pools whose scope covers the repository
	near    poolSet // of these, the ones that have the most of the labels
	outside poolSet // pools that have all labels and not the scope
	wanted  []string
	have    []poolSet // for each label the pools that have it, nil for none
	lacks   []string
	digits  []poolSet // digit n, in binary, of how many labels each pool has
	carry   poolSet
}

func newShortfall(m *Matcher) shortfall {
	words := make(poolSet, 4*m.width)
	s := shortfall{matcher: m}
	for i, set := range []*poolSet{&s.covered, &s.near, &s.outside, &s.carry} {
		*set = words[i*m.width:][:m.width]
	}
	return s
}

func (s *shortfall) compare(job *Job) {
	s.matcher.cover(s.covered, job.Repo)
	s.wanted, s.have = s.wanted[:0], s.have[:0]
	for _, l := range job.Labels {
		if !slices.Contains(s.wanted, l) {
			s.wanted, s.have = append(s.wanted, l), append(s.have, s.matcher.labels[l])
		}
	}
	for w := range s.outside {
		s.outside[w] = ^s.covered[w]
	}
	s.matcher.keepWith(s.outside, s.wanted)
	s.findNear()
}

// kind is what keeps the job that was compared last from the pools: the scope if
// all of them are for other repositories, or one would do but for that.
func (s *shortfall) kind() ObstacleKind {
	if s.covered.empty() || !s.outside.empty() {
		return ObstacleScope
	}
	return ObstacleLabel
}

// findNear counts for all pools at once how many of the labels they have, and
// keeps those of the covered ones with the highest count.
func (s *shortfall) findNear() {
	for _, d := range s.digits {
		clear(d)
	}
	for _, with := range s.have {
		if with == nil {
			continue
		}
		copy(s.carry, with)
		for n := 0; !s.carry.empty(); n++ {
			if n == len(s.digits) {
				s.digits = append(s.digits, make(poolSet, len(s.carry)))
			}
			for w, c := range s.carry {
				s.digits[n][w], s.carry[w] = s.digits[n][w]^c, s.digits[n][w]&c
			}
		}
	}
	copy(s.near, s.covered)
	for _, d := range slices.Backward(s.digits) {
		for w := range d {
			s.carry[w] = s.near[w] & d[w]
		}
		if !s.carry.empty() {
			s.near, s.carry = s.carry, s.near
		}
	}
}

// missing lists the labels that a pool does not have.
func (s *shortfall) missing(pool int) []string {
	s.lacks = s.lacks[:0]
	for i, l := range s.wanted {
		if s.have[i] == nil || !s.have[i].has(pool) {
			s.lacks = append(s.lacks, l)
		}
	}
	return s.lacks
}
