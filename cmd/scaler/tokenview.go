package main

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

const (
	// maxDescription is how much of a description a list shows, in characters.
	maxDescription = 40
	// maxGone is how many runners that are gone are shown of a token.
	maxGone = 10
)

// kind says how many runners a token can register in all.
func kind(t plan.Token) string {
	switch {
	case !t.Pinned:
		return "single use"
	case t.MaxUses > 0:
		return "pinned, for " + count(t.MaxUses, "runner")
	}
	return "pinned"
}

// standing says a token's state and since or until when.
func standing(t plan.Token, now time.Time) string {
	switch state := t.State(now); {
	case state == plan.TokenRevoked:
		return "revoked " + clock(t.RevokedAt)
	case state == plan.TokenUsed:
		return "used up"
	case state == plan.TokenExpired:
		return "expired " + clock(t.ExpiresAt)
	case state == plan.TokenActive && !t.ExpiresAt.IsZero():
		return "active until " + clock(t.ExpiresAt)
	default:
		return string(state)
	}
}

// uses says how often a token was used, and out of how many times.
func uses(t plan.Token) string {
	switch {
	case !t.Pinned:
		return fmt.Sprintf("%d of 1", t.Uses)
	case t.MaxUses > 0:
		return fmt.Sprintf("%d of %d", t.Uses, t.MaxUses)
	}
	return strconv.Itoa(t.Uses)
}

// ago says how long ago a moment was that may never have been.
func ago(at, now time.Time) string {
	if at.IsZero() {
		return "never"
	}
	return age(now.Sub(at)) + " ago"
}

// staying are the runners that are not gone.
func staying(runners []plan.Enrolment) []plan.Enrolment {
	return slices.DeleteFunc(slices.Clone(runners), func(r plan.Enrolment) bool { return !r.GoneAt.IsZero() })
}

// writeTokens writes the list for people.
func writeTokens(b *bytes.Buffer, tokens []server.ListedToken, now time.Time) {
	if len(tokens) == 0 {
		fmt.Fprintln(b, "There is no token. Make one: scaler token create --help")
		return
	}
	fmt.Fprintf(b, "TOKENS (%d)\n", len(tokens))
	rows := [][]string{{"NAME", "SCOPE", "KIND", "STATE", "USES", "RUNNERS", "LAST USED", "DESCRIPTION"}}
	for _, t := range tokens {
		form := "single use"
		if t.Pinned {
			form = "pinned"
		}
		rows = append(rows, []string{clean(t.Name), t.Scope.String(), form, string(t.State(now)), uses(t.Token), strconv.Itoa(t.Runners),
			ago(t.LastUsedAt, now), orDash(cut(clean(t.Description), maxDescription))})
	}
	table(b, rows)
}

// writeToken writes all that may be shown of a token, and its runners: those
// that are there, and of those that are gone the last.
func writeToken(b *bytes.Buffer, t plan.Token, runners []plan.Enrolment, now time.Time) {
	orAny := func(list []string) string {
		if len(list) == 0 {
			return "any"
		}
		return clean(strings.Join(list, ", "))
	}
	var sources []string
	for _, s := range t.Sources {
		sources = append(sources, s.String())
	}
	expires, reap := "never", "never"
	if !t.ExpiresAt.IsZero() {
		expires = clock(t.ExpiresAt)
	}
	if t.ReapAfter > 0 {
		reap = age(t.ReapAfter) + " offline"
	}
	created := clock(t.CreatedAt)
	if t.CreatedBy != "" {
		created += " by " + clean(t.CreatedBy)
	}
	table(b, [][]string{
		{"Name", clean(t.Name)},
		{"Description", orDash(clean(t.Description))},
		{"Scope", t.Scope.String()},
		{"Kind", kind(t)},
		{"State", standing(t, now)},
		{"Uses", uses(t)},
		{"Expires", expires},
		{"Labels", orAny(t.Labels)},
		{"Sources", orAny(sources)},
		{"Reaped after", reap},
		{"Created", created},
		{"Last used", ago(t.LastUsedAt, now)},
	})
	writeEnrolments(b, runners, now)
}

// writeEnrolments writes the runners of a token.
func writeEnrolments(b *bytes.Buffer, runners []plan.Enrolment, now time.Time) {
	stay := staying(runners)
	gone := slices.DeleteFunc(slices.Clone(runners), func(r plan.Enrolment) bool { return r.GoneAt.IsZero() })
	slices.SortStableFunc(gone, func(x, y plan.Enrolment) int { return y.GoneAt.Compare(x.GoneAt) })
	section(b, "RUNNERS (%d, %d gone)", len(stay), len(gone))
	if len(runners) == 0 {
		fmt.Fprintln(b, "  No runner has come by it.")
		return
	}
	rows := [][]string{{"NAME", "ID", "FROM", "REGISTERED", "STATE"}}
	for _, r := range slices.Concat(stay, gone[:min(len(gone), maxGone)]) {
		rows = append(rows, []string{orDash(clean(r.Name)), jobID(r.RunnerID), orDash(clean(r.Source)), ago(r.RegisteredAt, now), whereabouts(r, now)})
	}
	table(b, rows)
	if more := len(gone) - maxGone; more > 0 {
		fmt.Fprintf(b, "  … and %d more that are gone\n", more)
	}
}

// whereabouts says what is known of a runner.
func whereabouts(r plan.Enrolment, now time.Time) string {
	state := "registered"
	switch {
	case !r.GoneAt.IsZero():
		return "gone " + ago(r.GoneAt, now) + because(r.Gone)
	case r.Leaving != "":
		state = "leaves after its job"
	}
	if !r.OfflineSince.IsZero() {
		state += ", offline for " + age(now.Sub(r.OfflineSince))
	}
	return state + because(r.Leaving)
}

// because puts a reason after what it is the reason of.
func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + clean(reason)
}
