package plan

import "time"

// Usage is what a runner's container takes at a moment. How busy it is follows
// from two of them.
type Usage struct {
	Runner string        `json:"runner"`
	At     time.Time     `json:"at"`
	CPU    time.Duration `json:"cpu"`    // of all its life, in nanoseconds
	Memory int64         `json:"memory"` // bytes, without what the kernel could drop at once
	// MemoryLimit is how much it may take: its limit, or what the machine has.
	MemoryLimit int64 `json:"memory_limit,omitempty"`
	Processes   int   `json:"processes"`
}
