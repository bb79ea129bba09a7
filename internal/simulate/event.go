package simulate

import "time"

// event is something that happens to a runner at some time.
type event struct {
	at     time.Duration
	turn   int // those of one time happen in the order in which they were foreseen
	kind   eventKind
	runner *runner
}

type eventKind uint8

const (
	comesOnline eventKind = iota
	jobEnds
)

// events is a heap of what is to happen, for package container/heap.
type events []event

func (e events) Len() int      { return len(e) }
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }

func (e events) Less(i, j int) bool {
	if e[i].at != e[j].at {
		return e[i].at < e[j].at
	}
	return e[i].turn < e[j].turn
}

func (e *events) Push(x any) { *e = append(*e, x.(event)) }

func (e *events) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	*e = (*e)[:last]
	return x
}
