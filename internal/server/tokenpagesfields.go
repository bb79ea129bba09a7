package server

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"scaler.io/scaler/internal/plan"
)

// Bounds of the fields. The gateway has its own; these are so that what is
// wrong can be said beside the field. What is wrong, the fault, is a sentence for
// the page, and empty if nothing is.
const (
	maxDescription = 500 // bytes
	maxUses        = 1_000_000
	maxDays        = 3650
	day            = 24 * time.Hour
)

var tokenName = regexp.MustCompile(`^[0-9A-Za-z][0-9A-Za-z._-]{0,63}$`)

// newTokenName is the name that has the address of the form.
const newTokenName = "new"

func checkName(name string) (fault string) {
	switch {
	case name == "":
		return "Give it a name."
	case name == newTokenName:
		return "This name is taken by this page."
	case !tokenName.MatchString(name):
		return "Use letters, digits, dashes, dots and underscores, 64 at most, and begin with a letter or a digit."
	}
	return ""
}

func checkDescription(text string) (fault string) {
	switch {
	case len(text) > maxDescription:
		return fmt.Sprintf("Use %d letters at most, fewer if they are not English.", maxDescription)
	case strings.ContainsFunc(text, unicode.IsControl):
		return "Write one line of text."
	}
	return ""
}

// parseExpiry reads a time from now on, or a date, at whose end in UTC the
// token expires; empty is never.
func parseExpiry(text string, now time.Time) (at time.Time, fault string) {
	if text == "" {
		return time.Time{}, ""
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		at, err = time.Parse(time.DateOnly, text)
		at = at.Add(day)
	}
	if err != nil {
		var after time.Duration
		after, err = parseDuration(text)
		at = now.Add(after).Truncate(time.Second)
	}
	switch {
	case err != nil:
		return time.Time{}, "Write a time from now on such as 30d or 12h, or a date such as 2030-12-31."
	case !at.After(now):
		return time.Time{}, "That is over already."
	case at.Sub(now) > maxDays*day:
		return time.Time{}, fmt.Sprintf("Write %d days at most, or leave it empty for never.", maxDays)
	}
	return at.UTC(), ""
}

// parseDuration reads days or what time.ParseDuration reads, at most maxDays
// and not negative.
func parseDuration(text string) (time.Duration, error) {
	var d time.Duration
	number, isDays := strings.CutSuffix(text, "d")
	if isDays {
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil {
			return 0, fmt.Errorf("read days %q: %w", text, err)
		}
		d = time.Duration(n) * day
	} else {
		var err error
		if d, err = time.ParseDuration(text); err != nil {
			return 0, fmt.Errorf("read duration: %w", err)
		}
	}
	if d < 0 || d > maxDays*day {
		return 0, fmt.Errorf("read duration %q: it is not from 0 to %d days", text, maxDays)
	}
	return d, nil
}

// parseMaxUses reads how many runners a token may register; empty is any
// number.
func parseMaxUses(text string, pinned bool) (n int, fault string) {
	if text == "" {
		return 0, ""
	}
	n, err := strconv.Atoi(text)
	switch {
	case err != nil || n < 1 || n > maxUses:
		return 0, fmt.Sprintf("Write a number from 1 to %d, or leave it empty for any number.", maxUses)
	case !pinned && n != 1:
		return 0, "A token for single use registers one runner. Make it reusable, or leave this empty."
	case !pinned:
		return 0, ""
	}
	return n, ""
}

// parseLabels reads label names that are separated by commas or lines.
func parseLabels(text string) (labels []string, fault string) {
	for _, field := range splitList(text, ",\r\n") {
		label, err := plan.ParseLabel(field)
		if err != nil || label.Name != field {
			return nil, fmt.Sprintf("%q is not the name of a label. Write names only, without :host or :docker://IMAGE, with commas between.", field)
		}
		if !slices.Contains(labels, field) {
			labels = append(labels, field)
		}
	}
	return labels, ""
}

// parseSources reads networks and addresses that are separated by commas,
// spaces or lines.
func parseSources(text string) (sources []netip.Prefix, fault string) {
	for _, field := range splitList(text, ", \t\r\n") {
		p, err := netip.ParsePrefix(field)
		if err != nil {
			var addr netip.Addr
			addr, err = netip.ParseAddr(field)
			p = netip.PrefixFrom(addr, addr.BitLen()) // not valid for an address that is none
			if addr.Zone() != "" {
				p = netip.Prefix{}
			}
		}
		switch {
		case err != nil || !p.IsValid() || p.Addr().Is4In6():
			return nil, fmt.Sprintf("%q is neither a network such as 10.0.0.0/8 nor an address.", field)
		case p.Masked() != p:
			return nil, fmt.Sprintf("%s has bits set beyond its length. Write %s.", field, p.Masked())
		}
		if !slices.Contains(sources, p) {
			sources = append(sources, p)
		}
	}
	return sources, ""
}

// parseReapAfter reads how long a runner may be offline; 0 and empty are for
// ever.
func parseReapAfter(text string) (d time.Duration, fault string) {
	if text == "" {
		return 0, ""
	}
	d, err := parseDuration(text)
	switch {
	case err != nil:
		return 0, "Write a time such as 24h or 7d, or 0 for never."
	case d > 0 && d < time.Minute:
		return 0, "Write one minute at least: runners are listed as offline soon after their last contact."
	}
	return d, ""
}

// splitList cuts text at any of the separators and drops what is empty.
func splitList(text, separators string) []string {
	var list []string
	for _, field := range strings.FieldsFunc(text, func(c rune) bool { return strings.ContainsRune(separators, c) }) {
		if field = strings.TrimSpace(field); field != "" {
			list = append(list, field)
		}
	}
	return list
}
