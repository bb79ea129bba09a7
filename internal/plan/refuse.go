package plan

import (
	"slices"
	"strconv"
)

// refusals says why jobs are not served. Jobs that are alike share one text.
type refusals struct {
	*computation
	full  []string          // for each pool why it starts no more runners
	kinds []string          // by kind of job, where asked for
	unfit map[string]string // the texts for jobs of no kind, by themselves
	short shortfall
}

// why says what stands between a job and each pool.
func (r *refusals) why(job *Job, kind int32) string {
	switch {
	case len(r.pools) == 0:
		return "no pool is configured"
	case kind == none:
		return r.whyNoPool(job)
	case r.kinds == nil:
		r.kinds = make([]string, len(r.assigned.fixed))
		for _, p := range r.pools {
			r.full = append(r.full, r.whyFull(p))
		}
	}
	if r.kinds[kind] == "" {
		r.kinds[kind] = r.whyNoPlace(kind)
	}
	return r.kinds[kind]
}

// whyNoPlace lists what the pools of a kind of jobs say, a repeated reason once.
func (r *refusals) whyNoPlace(kind int32) string {
	text, last := r.text[:0], ""
	for i := range r.assigned.kinds.set(kind).all {
		why := r.full[i]
		if o, reached := r.assigned.ceilings.obstacle(r.assigned.kinds.repo[kind], i, r.pools[i]); reached && r.pools[i].hold == "" {
			why = o.Reason
		}
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
		text = append(append(text, "pool "...), r.pools[i].Name...)
		text = append(append(text, " has it, but its scope "...), r.pools[i].Scope.String()...)
		text = append(append(append(text, " does not cover "...), job.Repo...), "; "...)
	}
	for i := range s.near.all {
		if named++; named > most {
			break
		}
		text = append(append(append(text, "pool "...), r.pools[i].Name...), " lacks "...)
		text = append(appendList(text, s.missing(i)), "; "...)
	}
	if more := s.outside.size() + s.near.size() - most; more > 0 {
		return append(strconv.AppendInt(append(text, "and "...), int64(more), 10), " more"...)
	}
	return text[:len(text)-len("; ")]
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
