package gitea

import (
	"bytes"
	"cmp"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"connectrpc.com/connect"

	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
)

var update = flag.Bool("update", false, "rewrite the tables of docs/compatibility.md")

const compatibilityDoc = "../../docs/compatibility.md"

// mark is the comment between two of which a table of the document stands.
func mark(name string) (begin, end string) {
	return fmt.Sprintf("<!-- %s: written by go test ./internal/gitea -run Compatibility -update -->\n", name), fmt.Sprintf("<!-- end of %s -->\n", name)
}

// TestCompatibilityDocument: the document's tables are those of the code, and
// what they say of each release is what the client finds at a server of it.
func TestCompatibilityDocument(t *testing.T) {
	doc, err := os.ReadFile(compatibilityDoc)
	if err != nil {
		t.Fatal(err)
	}
	want := doc
	for name, table := range map[string]string{"releases": releasesTable(t), "features": featuresTable()} {
		want = replaceTable(t, want, name, table)
	}
	if *update {
		if err := os.WriteFile(compatibilityDoc, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(doc, want) {
		t.Errorf("%s is not what the code says: run go test ./internal/gitea -run Compatibility -update", compatibilityDoc)
	}
}

func replaceTable(t *testing.T, doc []byte, name, table string) []byte {
	t.Helper()
	begin, end := mark(name)
	head, rest, ok1 := strings.Cut(string(doc), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no place for %s", compatibilityDoc, name)
	}
	return []byte(head + begin + "\n" + table + "\n" + end + tail)
}

// releasesTable has a column for each release that the in-memory server can be,
// and in each cell what the client found there.
func releasesTable(t *testing.T) string {
	found := make([]plan.Capabilities, 0, len(giteatest.Profiles()))
	head, line := "| The server can |", "| --- |"
	for _, p := range giteatest.Profiles() {
		_, c := serveProfile(t, p)
		caps, err := c.Capabilities(t.Context())
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		found = append(found, caps)
		product, number, _ := strings.Cut(p.String(), "-")
		head += fmt.Sprintf(" %s %s |", plan.Product(product), number)
		line += " --- |"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n%s\n", head, line)
	for _, f := range plan.Features() {
		fmt.Fprintf(&b, "| %s |", f.What)
		for _, caps := range found {
			fmt.Fprintf(&b, " %s |", map[bool]string{true: "yes", false: "–"}[caps.Has(f.Capability)])
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func featuresTable() string {
	var b strings.Builder
	b.WriteString("| The server cannot | What that costs | What the daemon does instead | Gitea can from | Forgejo can from |\n| --- | --- | --- | --- | --- |\n")
	for _, f := range plan.Features() {
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", f.What, cmp.Or(f.Cost, "nothing"), f.Instead, cmp.Or(f.Gitea, "–"), cmp.Or(f.Forgejo, "–"))
	}
	return b.String()
}

// serveProfile starts a server of a release and a client that knows nothing of it.
func serveProfile(t *testing.T, p giteatest.Profile) (*giteatest.Server, *Client) {
	t.Helper()
	server := giteatest.New(giteatest.Options{Profile: p, RegistrationToken: regToken, APIToken: apiToken})
	t.Cleanup(server.Close)
	c := serve(t, server, func(o *Options) { o.Labels = func() []string { return []string{"linux"} } })
	unknown(c)
	return server, c
}

// TestCompatibilityOfCalls: what was found is what calls find that are made
// whatever was found.
func TestCompatibilityOfCalls(t *testing.T) {
	for _, p := range giteatest.Profiles() {
		t.Run(p.String(), func(t *testing.T) {
			server, c := serveProfile(t, p)
			caps, err := c.Capabilities(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if s := server.State(); s.Counts.Registrations != 0 || s.Counts.Calls["registration-token"] != 0 {
				t.Errorf("to ask changes something: %+v", s.Counts)
			}
			requests := 0
			for _, n := range server.State().Counts.Calls {
				requests += n
			}
			if requests > 4 {
				t.Errorf("to ask takes %d requests: %v", requests, server.State().Counts.Calls)
			}
			if want := capabilitiesOf(p.Version()); withoutTime(caps) != want {
				t.Errorf("found %+v, and the release has %+v", caps, want)
			}
			for _, f := range plan.Features() {
				try := tries[f.Capability]
				if try == nil {
					continue
				}
				bold(c, caps, f.Capability)
				if has := try(t, server, c); has != caps.Has(f.Capability) {
					t.Errorf("it can %s: %t was found, and a call says %t", f.What, caps.Has(f.Capability), has)
				}
			}
		})
	}
}

func withoutTime(caps plan.Capabilities) plan.Capabilities {
	caps.CheckedAt = capabilitiesOf("").CheckedAt
	return caps
}

// bold has a client try something whether the server can do it or not.
func bold(c *Client, caps plan.Capabilities, k plan.Capability) {
	caps.Set(k, true)
	c.found.mu.Lock()
	defer c.found.mu.Unlock()
	c.found.caps, c.found.answers = caps, make(map[plan.Capability]answered)
}

// tries are calls that show whether a server can do something. Only a runner
// shows that it can be bound to a job.
var tries = map[plan.Capability]func(*testing.T, *giteatest.Server, *Client) bool{
	plan.CanListJobs: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		_, err := c.QueuedJobs(t.Context(), instance, 1, nil)
		return there(t, err)
	},
	plan.CanNameRunners: namesRunner,
	plan.CanListRunners: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		_, err := c.Runners(t.Context(), instance)
		return there(t, err)
	},
	plan.CanDeleteRunners: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		return there(t, c.DeleteRunner(t.Context(), instance, math.MaxInt64))
	},
	plan.CanDisableRunners: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		return there(t, c.SetRunnerDisabled(t.Context(), instance, math.MaxInt64, true))
	},
	plan.CanEndRunners: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		id, err := c.Register(t.Context(), regToken, plan.Registration{Name: "a", Ephemeral: true, Labels: []plan.Label{{Name: "linux"}}})
		return there(t, err) && id.Ephemeral
	},
	plan.CanCreateRunners: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		_, err := c.CreateRunner(t.Context(), instance, plan.Registration{Name: "b"})
		return there(t, err)
	},
	plan.CanSendJobEvents: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		_, err := c.CreateHook(t.Context(), instance, "http://127.0.0.1:1/", "a-secret-of-the-hook")
		return there(t, err)
	},
	plan.CanDeregister: func(t *testing.T, _ *giteatest.Server, c *Client) bool {
		return there(t, c.Deregister(t.Context(), plan.Identity{UUID: "none", Token: "none"}))
	},
}

// there reports whether the outcome of a call shows that the server has it.
func there(t *testing.T, err error) bool {
	t.Helper()
	if err != nil && !errors.Is(err, plan.ErrUnsupported) && !errors.Is(err, plan.ErrNotFound) {
		t.Error(err)
	}
	return !errors.Is(err, plan.ErrUnsupported)
}

// namesRunner has a runner take a job and looks whether the list of running jobs
// says who has it.
func namesRunner(t *testing.T, server *giteatest.Server, c *Client) bool {
	id, err := c.Register(t.Context(), regToken, plan.Registration{Name: "c", Labels: []plan.Label{{Name: "linux"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(t.Context(), plan.Identity{UUID: id.UUID, Token: id.Token, Labels: []string{"linux"}}, "v1"); err != nil && !errors.Is(err, plan.ErrUnsupported) {
		t.Fatal(err)
	}
	server.AddJobs(giteatest.JobSpec{Repo: "acme/app", Labels: []string{"linux"}})
	req := connect.NewRequest(&runnerv1.FetchTaskRequest{})
	authenticate(req, id)
	if resp, err := c.runners.FetchTask(t.Context(), req); err != nil || resp.Msg.GetTask() == nil {
		t.Fatalf("no task: %v", err)
	}
	list, err := c.RunningJobs(t.Context(), instance)
	return there(t, err) && len(list.Jobs) == 1 && list.Jobs[0].RunnerID == id.ID
}

// TestRefusedTokenIsNotRepeated: no error has the API token in it, whatever the
// server answers to one that it refuses.
func TestRefusedTokenIsNotRepeated(t *testing.T) {
	const wrong = "a-token-that-is-refused"
	for _, p := range giteatest.Profiles() {
		server := giteatest.New(giteatest.Options{Profile: p, APIToken: apiToken})
		t.Cleanup(server.Close)
		c := serve(t, server, func(o *Options) {
			o.Token = func() (plan.Secret, error) { return wrong, nil }
		})
		c.found.set(promise{caps: capabilitiesOf(p.Version())}, time.Now())
		_, runners := c.Runners(t.Context(), instance)
		_, hooks := c.Hooks(t.Context(), instance)
		_, token := c.MintToken(t.Context(), instance)
		for what, err := range map[string]error{"runners": runners, "hooks": hooks, "token": token} {
			if err == nil || strings.Contains(err.Error(), wrong) {
				t.Errorf("%s: %s: %v", p, what, err)
			}
		}
	}
}
