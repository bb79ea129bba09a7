package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// badEdit is an edit that is to change nothing.
type badEdit struct {
	name    string
	restart bool // the file is good, but takes effect after a restart only
	gone    bool // there is no file
	make    func(r *rand.Rand, good string) string
}

// badEdits are the ways in which a file is spoilt.
var badEdits = []badEdit{
	{name: "broken YAML", make: appended("nonsense: [\n")},
	{name: "a tab", make: replaced("    max:", "\tmax:")},
	{name: "unknown key", make: appended("pol_interval: 1s\n")},
	{name: "unknown key of a pool", make: replaced("    max:", "    maximum:")},
	{name: "key twice", make: appended("limits: {runners: 3}\n")},
	{name: "number that is none", make: replaced("    max: ", "    max: many")},
	{name: "duration without unit", make: replaced("poll_interval: ", "poll_interval: 5 # ")},
	{name: "list for a mapping", make: replaced("limits: {", "limits: [{} , {")},
	{name: "mapping for a list", make: replaced("pools:\n", "pools: {}\nhttp:\n")},
	{name: "max of 0", make: replaced("    max: ", "    max: 0 # ")},
	{name: "min above max", make: replaced("    min: ", "    min: 99 # ")},
	{name: "limit below the pools' min", make: func(r *rand.Rand, good string) string {
		return replaced("limits: {runners: ", "limits: {runners: 1, registrations: 5, parallel_starts: 1} # ")(r, replaced("    min: ", "    min: 2 # ")(r, raised(good)))
	}},
	{name: "unknown token", make: replaced("registration_token: ", "registration_token: nobodys-")},
	{name: "unknown scope", make: replaced(`scope: "`, `scope: "everything-`)},
	{name: "secret in the file", make: replaced("{file: api-token}", "0123456789abcdef0123456789abcdef01234567")},
	{name: "secret that is not there", make: replaced("{file: api-token}", "{file: no-token}")},
	{name: "two pools of one name", make: func(_ *rand.Rand, good string) string {
		head, pools, _ := strings.Cut(good, "pools:\n")
		end := strings.Index(pools, "limits: {")
		return head + "pools:\n" + pools[:end] + pools
	}},
	{name: "no labels", make: replaced("    labels: [", "    labels: [] # ")},
	{name: "bad image", make: replaced("    image: ", "    image: Not:An:Image")},
	{name: "bad window", make: replaced("    min: ", "    schedule: [{cron: \"61 * * * *\", duration: 1m, max: 1}] # ")},
	{name: "gateway that does not run", make: func(r *rand.Rand, good string) string {
		return replaced("    max: ", "    registration: container\n    max: ")(r, good)
	}},
	{name: "cut off", make: func(r *rand.Rand, good string) string { return good[:r.IntN(len(good))] }},
	{name: "begun anew", make: func(r *rand.Rand, good string) string { return good[r.IntN(len(good)-1)+1:] }},
	{name: "damaged", make: func(r *rand.Rand, good string) string {
		at := r.IntN(len(good))
		return good[:at] + string([]byte{byte(r.IntN(32)), 0xff, 0}) + good[at:]
	}},
	{name: "empty", make: func(*rand.Rand, string) string { return "" }},
	{name: "comments only", make: func(*rand.Rand, string) string { return "# nothing is here\n" }},
	{name: "another document", make: func(_ *rand.Rand, good string) string { return good + "---\n" + good }},
	{name: "no YAML at all", make: func(*rand.Rand, string) string { return "<html>502 Bad Gateway</html>\n" }},
	{name: "no file", gone: true, make: func(*rand.Rand, string) string { return "" }},

	{name: "another server", restart: true, make: replaced("  url: http", "  internal_url: http://127.0.0.1:1\n  url: http")},
	{name: "another URL", restart: true, make: replaced("  url: http://", "  url: http://localhost.")},
	{name: "another state directory", restart: true, make: replaced("state_dir: ", "state_dir: /nowhere")},
	{name: "another control socket", restart: true, make: replaced("control_socket: ", "control_socket: /nowhere")},
	{name: "another engine", restart: true, make: replaced(`{host: "unix://`, `{host: "unix:///nowhere`)},
	{name: "a listener", restart: true, make: appended("http: {listen: \"127.0.0.1:1\"}\n")},
	{name: "gates for the host", restart: true, make: replaced("limits: {", "limits: {pressure: {free_memory: 900g}, ")},
}

func appended(what string) func(*rand.Rand, string) string {
	return func(_ *rand.Rand, good string) string { return good + what }
}

// replaced puts something in one of the places where old is.
func replaced(old, with string) func(*rand.Rand, string) string {
	return func(r *rand.Rand, good string) string {
		n := strings.Count(good, old)
		if n == 0 {
			panic(fmt.Sprintf("there is no %q in the configuration", old))
		}
		k := r.IntN(n)
		parts := strings.SplitN(good, old, k+2)
		return strings.Join(parts[:k+1], old) + with + parts[k+1]
	}
}

// raised has every pool's max at 9.
func raised(good string) string { return strings.ReplaceAll(good, "    max: ", "    max: 9 # ") }
