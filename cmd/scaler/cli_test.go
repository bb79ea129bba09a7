package main

import (
	"cmp"
	"encoding"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/server"
)

// cliDocument is the overview of the commands, of which a test writes parts.
const cliDocument = "../../docs/cli.md"

// outputs has what each command prints with --json.
var outputs = map[string]any{
	"scaler status":         plan.Status{},
	"scaler plan":           server.Plan{},
	"scaler explain":        plan.Explanation{},
	"scaler health":         plan.Health{},
	"scaler pause":          ordered{},
	"scaler resume":         ordered{},
	"scaler drain":          ordered{},
	"scaler start":          ordered{},
	"scaler events":         lines[server.EventLine]{},
	"scaler logs":           lines[server.LogLine]{},
	"scaler top":            []topRow{},
	"scaler reap":           []plan.Finding{},
	"scaler corpses":        corpseList{},
	"scaler reload":         server.Reloaded{},
	"scaler runner list":    []plan.RunnerStatus{},
	"scaler runner show":    plan.RunnerStatus{},
	"scaler token list":     []server.ListedToken{},
	"scaler token show":     shownToken{},
	"scaler token create":   shownSecret{},
	"scaler token reset":    shownSecret{},
	"scaler token audit":    lines[plan.AuditEntry]{},
	"scaler webhook create": []hookOutcome{},
	"scaler webhook test":   []webhookFinding{},
	"scaler notify test":    []notifyResult{},
	"scaler doctor":         doctorReport{},
	"scaler simulate":       simulation{},
	"scaler state check":    stateReport{},
	"scaler version":        buildInfo{},
	"scaler validate":       validation{},
	"scaler token pin":      plan.Token{},
	"scaler token unpin":    plan.Token{},
	"scaler token enable":   plan.Token{},
	"scaler token disable":  plan.Token{},
	"scaler demo":           demoFigures{},
	"scaler token delete":   endedToken{},
	"scaler token revoke":   endedToken{},
	"scaler state backup":   backUp{},
	"scaler debug profile":  takenProfile{},
}

// withoutJSON are the commands that have no result of their own to print.
var withoutJSON = map[string]string{
	"scaler run":              "it is the daemon, which logs",
	"scaler init":             "it is a conversation; scaler doctor --json says of its end what there is to say",
	"scaler fake-gitea":       "it serves until it is stopped",
	"scaler config schema":    "it prints a schema, which is JSON",
	"scaler config reference": "it prints a document",
	"scaler runner export":    "it prints a file of JSON as it is",
}

// lines stands for an output of one document a line.
type lines[T any] [1]T

// The document lists all commands, and the fields of all that they print as JSON,
// as the code has them.
func TestCLIDocument(t *testing.T) {
	text, err := os.ReadFile(cliDocument)
	must(t, err)
	document := string(text)
	for name, part := range map[string]string{"commands": commandTable(), "json": shapes(t)} {
		begin, end := "<!-- "+name+": written by go test ./cmd/scaler -run CLIDocument -update -->\n", "<!-- end of "+name+" -->"
		from, to := strings.Index(document, begin), strings.Index(document, end)
		if from < 0 || to < from {
			t.Fatalf("%s has no part for the %s", cliDocument, name)
		}
		document = document[:from+len(begin)] + part + document[to:]
	}
	if *update {
		must(t, os.WriteFile(cliDocument, []byte(document), 0o644))
		return
	}
	if document != string(text) {
		t.Errorf("%s is not as the code has it: see what go test ./cmd/scaler -run CLIDocument -update changes. Programs read the JSON: no field may go or change its name or type", cliDocument)
	}
}

// A program can read what any command prints.
func TestCommandsPrintJSON(t *testing.T) {
	eachCommand(newRootCommand(), func(c *cobra.Command) {
		has, why := c.Flags().Lookup("json") != nil, withoutJSON[c.CommandPath()]
		if has == (why != "") {
			t.Errorf("%s: --json is %v, and the reason to have none %q", c.CommandPath(), has, why)
		}
	})
}

// eachCommand calls f with each command that does something, but for hidden ones.
func eachCommand(c *cobra.Command, f func(*cobra.Command)) {
	for _, child := range c.Commands() {
		switch {
		case child.Hidden:
		case child.HasSubCommands():
			eachCommand(child, f)
		default:
			f(child)
		}
	}
}

func commandTable() string {
	rows := []string{"| Command | What it does |", "| --- | --- |"}
	eachCommand(newRootCommand(), func(c *cobra.Command) {
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", c.CommandPath(), c.Short))
	})
	slices.Sort(rows[2:])
	return strings.Join(rows, "\n") + "\n"
}

// shapes describes what the commands print with --json, those that print the same
// together.
func shapes(t *testing.T) string {
	t.Helper()
	printers := make(map[string]bool)
	eachCommand(newRootCommand(), func(c *cobra.Command) {
		if c.Flags().Lookup("json") != nil {
			printers[c.CommandPath()] = true
		}
	})
	same := make(map[reflect.Type][]string)
	for name := range printers {
		if name == "scaler state export" {
			continue // what the state has, for people who look into it
		}
		if outputs[name] == nil {
			t.Errorf("%s prints JSON of which nothing is said", name)
			continue
		}
		same[reflect.TypeOf(outputs[name])] = append(same[reflect.TypeOf(outputs[name])], name)
	}
	for name := range outputs {
		if !printers[name] {
			t.Errorf("%s prints no JSON", name)
		}
	}
	var parts []string
	for typ, names := range same {
		slices.Sort(names)
		part, what := "", "one document"
		switch {
		case typ.Kind() == reflect.Slice:
			typ, what = typ.Elem(), "a list"
		case typ.Kind() == reflect.Array:
			typ, what = typ.Elem(), "one document a line"
		}
		part = fmt.Sprintf("`%s`: %s\n\n| Field | Type |\n| --- | --- |\n", strings.Join(names, "`, `"), what)
		for _, f := range fields(typ, "") {
			part += f + "\n"
		}
		parts = append(parts, part)
	}
	slices.Sort(parts)
	return strings.Join(parts, "\n")
}

var marshaler = reflect.TypeFor[encoding.TextMarshaler]()

// fields lists the fields of a struct, and of those in it.
func fields(t reflect.Type, under string) (rows []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && tag == "" {
			rows = append(rows, fields(f.Type, under)...)
			continue
		}
		if tag == "-" || !f.IsExported() {
			continue
		}
		path, typ := under+cmp.Or(tag, f.Name), f.Type
		said, list, inner := "", false, typ
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice || inner.Kind() == reflect.Map {
			if inner.Kind() == reflect.Slice {
				list, path = true, path+"[]"
			}
			if inner.Kind() == reflect.Map {
				path += ".*"
			}
			inner = inner.Elem()
		}
		switch {
		case inner == reflect.TypeFor[time.Time]():
			said = "time, RFC 3339"
		case inner == reflect.TypeFor[time.Duration]():
			said = "duration in nanoseconds"
		case inner.Implements(marshaler) || reflect.PointerTo(inner).Implements(marshaler) || inner.Kind() == reflect.String:
			said = "string"
		case inner.Kind() == reflect.Bool:
			said = "boolean"
		case inner.Kind() == reflect.Float64:
			said = "number"
		case inner.Kind() == reflect.Struct:
			said = "object"
		default:
			said = "whole number"
		}
		if list {
			said = "list of: " + said
		}
		if strings.Contains(options, "omit") {
			said += "; may be missing"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s |", path, said))
		if said == "object" || strings.HasPrefix(said, "object;") || strings.HasPrefix(said, "list of: object") {
			rows = append(rows, fields(inner, path+".")...)
		}
	}
	return rows
}

// Every command says what it does, and no flag is without a word.
func TestCommandsAreDescribed(t *testing.T) {
	eachCommand(newRootCommand(), func(c *cobra.Command) {
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: short help %q", c.CommandPath(), c.Short)
		}
		for line := range strings.Lines(c.Long + "\n" + c.Example) {
			if len([]rune(strings.TrimRight(line, "\n"))) > 100 {
				t.Errorf("%s: a line of its help has more than 100 characters: %q", c.CommandPath(), line)
			}
		}
	})
}
