package plan

// lanes has for each pool the jobs that were placed in it and could move, in
// the order in which they came. It keeps the jobs of one kind together, so
// that a walk along a lane costs a step for each kind and not for each job.
type lanes struct {
	groups []group
	head   []int32 // for each pool its first group, or none
	tail   []int32 // and its last
	kinds  []int32 // for each kind one of its groups, or none
	behind []int32 // for each job the next one of its group, or none
	turn   []int32 // for each job when it came to its pool
	turns  int32
}

// group is the jobs of one kind in one pool.
type group struct {
	pool, kind  int32
	first, last int32 // jobs, or none
	next        int32 // the group of the pool whose first job came next, or none
	other       int32 // another group of the kind, or none
}

func newLanes(jobs, pools, kinds int) lanes {
	l := lanes{behind: make([]int32, jobs), turn: make([]int32, jobs)}
	ends := make([]int32, 2*pools+kinds)
	for i := range ends {
		ends[i] = none
	}
	l.head, l.tail, l.kinds = ends[:pools], ends[pools:2*pools], ends[2*pools:]
	return l
}

// group finds or makes the group of a kind in a pool. It comes to the front of
// the groups of its kind, since the next job is likely to go there too.
func (l *lanes) group(kind int32, pool int) int32 {
	before := int32(none)
	for g := l.kinds[kind]; g != none; before, g = g, l.groups[g].other {
		if l.groups[g].pool != int32(pool) {
			continue
		}
		if before != none {
			l.groups[before].other, l.groups[g].other = l.groups[g].other, l.kinds[kind]
			l.kinds[kind] = g
		}
		return g
	}
	l.groups = append(l.groups, group{pool: int32(pool), kind: kind, first: none, last: none, next: none, other: l.kinds[kind]})
	l.kinds[kind] = int32(len(l.groups) - 1)
	return l.kinds[kind]
}

// join puts a job at the end of a pool's lane.
func (l *lanes) join(j, kind int32, pool int) {
	g := l.group(kind, pool)
	l.turn[j], l.behind[j] = l.turns, none
	l.turns++
	x := &l.groups[g]
	if x.first != none {
		l.behind[x.last], x.last = j, j
		return
	}
	x.first, x.last, x.next = j, j, none
	if last := l.tail[pool]; last != none {
		l.groups[last].next = g
	} else {
		l.head[pool] = g
	}
	l.tail[pool] = g
}

// take removes and returns the first job of a group, which stands in the
// pool's lane after the group before. The group moves back to where its next
// job stands.
func (l *lanes) take(pool int, before, g int32) int32 {
	x := &l.groups[g]
	j := x.first
	x.first = l.behind[j]
	if x.first != none && (x.next == none || l.earlier(x.first, x.next)) {
		return j
	}
	if before != none {
		l.groups[before].next = x.next
	} else {
		l.head[pool] = x.next
	}
	if x.first == none {
		if x.next == none {
			l.tail[pool] = before
		}
		return j
	}
	at := x.next
	for next := l.groups[at].next; next != none && !l.earlier(x.first, next); next = l.groups[at].next {
		at = next
	}
	x.next, l.groups[at].next = l.groups[at].next, g
	if x.next == none {
		l.tail[pool] = g
	}
	return j
}

// earlier reports whether a job came before the first one of a group.
func (l *lanes) earlier(j, group int32) bool { return l.turn[j] < l.turn[l.groups[group].first] }
