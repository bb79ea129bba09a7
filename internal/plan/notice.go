package plan

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Notice is one notification: what has happened since the last one, for people
// and programs elsewhere. It is what a template of a notification is given,
// and without a template it is sent as JSON. It holds no secret.
type Notice struct {
	// ID tells notices apart; one that is sent again, since no answer came,
	// keeps it.
	ID       string    `json:"id"`
	At       time.Time `json:"at"`       // when it was put together
	Host     string    `json:"host"`     // name of the daemon's machine
	Instance string    `json:"instance"` // as in Status
	Version  string    `json:"version"`
	// Events has what has happened, the oldest first, one at least.
	Events []Event `json:"events"`
	// Dropped is how many events were to be told since the last notice that
	// arrived, and were not: there were too many, or they could not be sent.
	Dropped int `json:"dropped"`
	// Test is set for a sample that somebody had sent.
	Test bool `json:"test,omitempty"`
}

// Level says how an event is to be taken.
type Level string

// The levels.
const (
	LevelBad  Level = "bad"  // something is wrong
	LevelGood Level = "good" // something is right again
	LevelInfo Level = "info"
)

// Level says how events of the kind are to be taken.
func (k EventKind) Level() Level {
	switch k {
	case EventJobUnserved, EventJobOverdue, EventRunnerFailed, EventBreakerOpened, EventTokenRefused, EventProblem, EventConfigRejected:
		return LevelBad
	case EventBreakerClosed, EventProblemOver:
		return LevelGood
	}
	return LevelInfo
}

var titles = map[EventKind]string{
	EventJobQueued:      "a job waits",
	EventJobUnserved:    "a job waits that gets no runner",
	EventJobOverdue:     "a job waits for too long",
	EventJobGone:        "a job waits no more",
	EventRunner:         "a runner has come into another phase",
	EventRunnerFailed:   "a runner has failed",
	EventCorpse:         "a runner that had nothing behind it was deleted",
	EventOrphan:         "what a runner had left behind was removed",
	EventBreakerOpened:  "the runners of a pool fail",
	EventBreakerClosed:  "the runners of a pool work again",
	EventTokenRefused:   "a registration token cannot be used",
	EventProblem:        "something keeps scaler from its work",
	EventProblemOver:    "a problem is over",
	EventServerChanged:  "the server has changed",
	EventConfigTaken:    "the configuration has changed",
	EventConfigRejected: "the configuration file is not good",
	EventPaused:         "a pool was paused",
	EventResumed:        "a pool was resumed",
	EventDrain:          "runners are given up",
	EventStart:          "a runner was asked for",
	EventDaemonStarted:  "scaler has started",
	EventDaemonStops:    "scaler stops",
}

// Title says in a few words what an event of the kind means.
func (k EventKind) Title() string { return cmp.Or(titles[k], string(k)) }

// Line says an event in one line of plain text.
func (e Event) Line() string {
	var b strings.Builder
	b.WriteString(e.Kind.Title())
	var about []string
	if e.Server != "" {
		about = append(about, "server "+e.Server)
	}
	if e.Pool != "" {
		about = append(about, "pool "+e.Pool)
	}
	if e.Runner != "" {
		about = append(about, "runner "+e.Runner)
	}
	if e.Phase != "" {
		about = append(about, string(e.Phase))
	}
	if e.Job != 0 {
		about = append(about, strings.TrimSuffix(fmt.Sprintf("job %d of %s", e.Job, e.Repo), " of "))
	}
	if e.Actor != "" {
		about = append(about, "by "+e.Actor)
	}
	if len(about) > 0 {
		b.WriteString(" (" + strings.Join(about, ", ") + ")")
	}
	if e.Text != "" {
		b.WriteString(": " + e.Text)
	}
	return b.String()
}

// Lines says a notice in plain text, one line for each event.
func (n Notice) Lines() string {
	lines := make([]string, 0, len(n.Events)+2)
	if n.Test {
		lines = append(lines, "This is a test.")
	}
	for _, e := range n.Events {
		lines = append(lines, e.Line())
	}
	if n.Dropped > 0 {
		lines = append(lines, fmt.Sprintf("Not told since the last notification: %d more.", n.Dropped))
	}
	return strings.Join(lines, "\n")
}

// Level is the worst of the levels of its events.
func (n Notice) Level() Level {
	level := LevelInfo
	for _, e := range n.Events {
		switch e.Kind.Level() {
		case LevelBad:
			return LevelBad
		case LevelGood:
			level = LevelGood
		}
	}
	return level
}

// SampleNotice returns a notice with a made up event of each of the kinds, to
// try a template with and to be sent as a test. Their texts have what needs
// care in a template: quotes, brackets, other scripts, a line's end.
func SampleNotice(kinds ...EventKind) Notice {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	n := Notice{ID: "00000000-0000-4000-8000-000000000000", At: at, Host: "build-1", Instance: "3f2a9c0b71de", Version: "v1.2.3", Test: true}
	for i, kind := range kinds {
		e := Event{Seq: uint64(i + 1), At: at, Kind: kind, Text: "a \"sample\" of what <stands> here & more: größer\n{second} line"}
		switch kind {
		case EventJobQueued, EventJobUnserved, EventJobOverdue, EventJobGone:
			e.Pool, e.Job, e.Repo = "linux", 42, "acme/app"
		case EventRunner:
			e.Pool, e.Runner, e.Phase = "linux", "linux-3f2a9c-k7q2x", PhaseIdle
		case EventRunnerFailed, EventCorpse, EventOrphan:
			e.Pool, e.Runner = "linux", "linux-3f2a9c-k7q2x"
		case EventBreakerOpened, EventBreakerClosed, EventTokenRefused:
			e.Pool = "linux"
		case EventPaused, EventResumed, EventDrain, EventStart:
			e.Pool, e.Actor = "linux", "alice"
		}
		n.Events = append(n.Events, e)
	}
	return n
}
