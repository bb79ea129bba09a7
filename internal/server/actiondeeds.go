package server

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"scaler.io/scaler/internal/plan"
)

// The deeds that the pages treat in a way of their own.
const (
	reapDeed   = "reap"
	reloadDeed = "reload"
)

// poolDeeds are what can be done to a pool.
var poolDeeds = map[string]deed{
	"pause": {
		Title: "Pause pool %s?", Button: "Pause", Reason: true, Done: "Pool %s is paused.",
		Text: "It starts nothing until it is resumed, also after a restart of the daemon. What runs goes on, and idle runners still take jobs.",
		do: func(ctx context.Context, web *Web, o order) (upshot, error) {
			return upshot{}, web.cfg.Actions.Pause(ctx, o.actor, o.subject, o.reason)
		},
	},
	"resume": {
		Title: "Resume pool %s?", Button: "Resume", Done: "Pool %s is resumed.",
		Text: "It starts runners again as its jobs and its settings ask for.",
		do: func(ctx context.Context, web *Web, o order) (upshot, error) {
			return upshot{}, web.cfg.Actions.Resume(ctx, o.actor, o.subject)
		},
	},
	"drain": {
		Title: "Drain pool %s?", Button: "Drain", Reason: true, Danger: true, Done: "Pool %s is being drained.",
		Text: "It starts nothing until it is resumed, also after a restart of the daemon. Idle runners go, busy ones after their jobs. No job is lost; jobs of this pool wait meanwhile.",
		do: func(ctx context.Context, web *Web, o order) (upshot, error) {
			return upshot{}, web.cfg.Actions.Drain(ctx, o.actor, plan.DrainTarget{Pool: o.subject, Reason: o.reason})
		},
	},
	"start": {
		Title: "Start one runner of pool %s?", Button: "Start one", Done: "One more runner of pool %s is on its way.",
		Text: "It is started now, beyond what the queue asks for, if the limits allow it. Without a job it stays for the pool's idle_timeout.",
		do: func(ctx context.Context, web *Web, o order) (upshot, error) {
			_, err := web.cfg.Actions.StartOne(ctx, o.actor, o.subject)
			return upshot{next: "/pools/" + url.PathEscape(o.subject)}, err
		},
	},
}

// runnerDeeds are what can be done to a runner.
var runnerDeeds = map[string]deed{
	"drain": {
		Title: "Drain runner %s?", Button: "Drain", Reason: true, Danger: true, Done: "Runner %s goes once it has no job.",
		Text: "It gets no further job and goes; if it is busy, after its job. Its pool may start another one in its place.",
		do: func(ctx context.Context, web *Web, o order) (upshot, error) {
			return upshot{}, web.cfg.Actions.Drain(ctx, o.actor, plan.DrainTarget{Runner: o.subject, Reason: o.reason})
		},
	},
}

// fleetDeeds are what can be done to all.
var fleetDeeds = map[string]deed{
	"drain": {
		Title: "Drain all pools?", Button: "Drain all", Reason: true, Danger: true, Done: "All pools are being drained.",
		Text: "No pool starts anything until it is resumed, also after a restart of the daemon. Idle runners go, busy ones after their jobs. No job is lost; all jobs wait meanwhile.",
		do: func(ctx context.Context, web *Web, o order) (upshot, error) {
			return upshot{}, web.cfg.Actions.Drain(ctx, o.actor, plan.DrainTarget{All: true, Reason: o.reason})
		},
	},
	reapDeed: {
		Title: "Clear away what is left over?", Button: "Clear away", Danger: true, Done: "Cleared away",
		Text: "Only what is this daemon's own, has nothing behind it and is due is removed. The daemon does the same by itself, a little later.",
		do:   func(ctx context.Context, web *Web, o order) (upshot, error) { return web.reap(ctx, o) },
	},
	reloadDeed: {
		Title: "Read the configuration again?", Button: "Reload", Done: "Reloaded",
		Text: "The file is read, and what has changed is taken over. If anything is wrong with it nothing is, and the last good one holds.",
		do:   func(ctx context.Context, web *Web, o order) (upshot, error) { return web.takeOver(ctx, o) },
	},
}

// reap clears away what is due and tells what was found.
func (web *Web) reap(ctx context.Context, o order) (upshot, error) {
	findings, err := web.cfg.Actions.Reap(ctx, false)
	web.note(o, "fleet.reap", countText(len(findings), err))
	return upshot{told: true, findings: findings}, err
}

// takeOver takes the configuration over and tells what has changed.
func (web *Web) takeOver(ctx context.Context, o order) (upshot, error) {
	if web.cfg.Reload == nil {
		return upshot{}, fmt.Errorf("read the configuration again: %w: this daemon does not", plan.ErrInvalid)
	}
	out, err := web.cfg.Reload(ctx)
	if err != nil {
		web.note(o, "config.reload", "refused")
		return upshot{}, fmt.Errorf("%w: %w", plan.ErrInvalid, err)
	}
	web.note(o, "config.reload", fmt.Sprintf("%d changes", len(out.Changes)))
	lines := slices.Clone(out.Changes)
	for _, c := range out.Restart {
		lines = append(lines, c+" (after a restart)")
	}
	return upshot{told: true, lines: lines}, nil
}

func countText(n int, err error) string {
	if err != nil {
		return "failed"
	}
	return fmt.Sprintf("%d found", n)
}

// note writes into the audit log and the daemon's log who has done what. That
// the audit log cannot be written does not undo what was done.
func (web *Web) note(o order, action, detail string) {
	web.log.Info("asked for on a page", "action", action, "by", o.actor, "outcome", detail)
	if web.cfg.Audit == nil {
		return
	}
	if err := web.cfg.Audit(plan.AuditEntry{At: time.Now(), Action: action, Actor: o.actor, Detail: detail}); err != nil {
		web.log.Error("audit entry not written", "action", action, "by", o.actor, "err", err)
	}
}
