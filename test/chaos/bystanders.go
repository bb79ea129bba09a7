package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/giteatest"
)

// foreignSuffix ends the name of a runner that begins like one of ours and is
// not.
const foreignSuffix = "-of-mine"

// bystanderPoll is how often those runners ask for jobs that are online.
const bystanderPoll = 2 * time.Second

// bystanders are runners and containers of others, made to be mistaken for the
// daemon's. Whatever happens, they must stay as they are.
type bystanders struct {
	url        string
	runners    []giteatest.RunnerState
	containers []engineContainer
	services   []swarmObject
	online     []credentials
}

// credentials are what a runner identifies itself by.
type credentials struct {
	ID    string `json:"id"` // Connect's JSON writes an int64 as a string
	UUID  string `json:"uuid"`
	Token string `json:"token"`
}

// foreignNames are names like ours: with another instance id, with one that
// ours is the beginning of, and with something before and after.
func foreignNames(instance string) []string {
	return []string{
		"scaler-" + otherInstance(instance) + "-linux-abcdefgh",
		"scaler-" + otherInstance(instance) + "-keeper-abcdefgh",
		"scaler-" + instance + "0-linux-abcdefgh",
		"scaler-" + instance + "-linux" + foreignSuffix,
		"my-scaler-" + instance + "-linux-abcdefgh",
		"scaler-" + instance,
		"builder",
	}
}

// otherInstance is an id that differs from ours in its last digit.
func otherInstance(instance string) string {
	last := byte('0')
	if instance[len(instance)-1] == '0' {
		last = '1'
	}
	return instance[:len(instance)-1] + string(last)
}

// newBystanders registers the runners and makes the containers.
func newBystanders(ctx context.Context, s *stage) (*bystanders, error) {
	b := &bystanders{url: s.url}
	for i, name := range foreignNames(s.instance) {
		token := s.tokens[i%len(s.tokens)].value
		id, err := b.register(ctx, name, token)
		if err != nil {
			return nil, err
		}
		if i%2 == 0 {
			b.online = append(b.online, id)
		}
	}
	b.runners = foreignRunners(s.gitea.State(), nil)
	for _, c := range foreignContainers(s.instance) {
		labels := map[string]string{testLabel: s.id}
		for name, value := range c.labels {
			labels[name] = value
		}
		// The id of the run makes the name one that no other engine user has.
		id, err := s.own.create(ctx, c.name+"-"+s.id, s.engine.image(), s.engine.idle(), labels, c.start)
		if err != nil {
			return nil, fmt.Errorf("make bystander %s: %w", c.name, err)
		}
		found, err := s.own.inspect(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("look at bystander %s: %w", c.name, err)
		}
		b.containers = append(b.containers, found)
	}
	if !s.engine.swarm() {
		return b, nil
	}
	return b, b.addServices(ctx, s)
}

// addServices makes services of others, with the labels of the containers.
func (b *bystanders) addServices(ctx context.Context, s *stage) error {
	for _, c := range foreignContainers(s.instance)[:foreignRunnersMade] {
		tasks := 0
		if c.start {
			tasks = 1
		}
		id, err := s.own.createService(ctx, c.name, s.engine.image(), s.engine.idle(), c.labels, tasks)
		if err != nil {
			return fmt.Errorf("make bystander %s: %w", c.name, err)
		}
		found, err := s.own.service(ctx, id)
		if err != nil {
			return fmt.Errorf("look at bystander %s: %w", c.name, err)
		}
		b.services = append(b.services, found)
	}
	return nil
}

// foreignRunnersMade is how many of the foreign containers, from the first, are
// what a runner runs in. The others are of jobs.
const foreignRunnersMade = 5

// foreignContainer is a container of others.
type foreignContainer struct {
	name   string
	labels map[string]string
	start  bool
}

// foreignContainers are a runner of another instance, one that has inherited
// our label from an image, and one without labels; both running and not.
func foreignContainers(instance string) []foreignContainer {
	other := otherInstance(instance)
	return []foreignContainer{
		{"scaler-" + other + "-linux-abcdefgh", map[string]string{labelInstance: other, labelPool: "linux", labelRunner: "scaler-" + other + "-linux-abcdefgh"}, true},
		{"scaler-" + other + "-linux-bcdefghi", map[string]string{labelInstance: other, labelPool: "linux", labelRunner: "scaler-" + other + "-linux-bcdefghi"}, false},
		{"scaler-" + instance + "-linux-inherited", map[string]string{labelInstance: instance}, true},
		{"scaler-" + instance + "-linux-plain", nil, true},
		{"plain", nil, false},
		// Containers of jobs: of a runner of another daemon, of one without an
		// owner, and one that is only named like it.
		{jobName("41"), map[string]string{labelJobInstance: other, labelJobRunner: "scaler-" + instance + "-linux-abcdefgh"}, true},
		{jobName("42"), map[string]string{labelJobRunner: "scaler-" + instance + "-linux-abcdefgh"}, true},
		{jobName("43"), nil, true},
	}
}

// jobName is a name such as a runner gives to the container of a job.
func jobName(task string) string {
	return "GITEA-ACTIONS-TASK-" + task + "-WORKFLOW-build-JOB-test-" + strings.Repeat("0123456789abcdef", 4)
}

// register registers a runner as its own program does.
func (b *bystanders) register(ctx context.Context, name, token string) (credentials, error) {
	var out struct{ Runner credentials }
	err := b.call(ctx, "Register", credentials{}, map[string]any{"name": name, "token": token, "labels": []string{"elsewhere"}}, &out)
	if err != nil {
		return credentials{}, fmt.Errorf("register bystander %s: %w", name, err)
	}
	return out.Runner, nil
}

// live has the bystanders that are online ask for jobs until ctx ends.
func (b *bystanders) live(ctx context.Context) {
	tick := time.NewTicker(bystanderPoll)
	defer tick.Stop()
	for {
		for _, id := range b.online {
			// An error is Gitea's bad day, which everybody has.
			_ = b.call(ctx, "FetchTask", id, map[string]any{"tasksVersion": "0"}, &struct{}{})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// call makes one call of the runners' protocol in its JSON form.
func (b *bystanders) call(ctx context.Context, procedure string, id credentials, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	data, err := json.Marshal(in)
	if err != nil {
		return fmt.Errorf("encode call: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/api/actions/runner.v1.RunnerService/"+procedure, bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("make call: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Runner-Uuid", id.UUID)
	req.Header.Set("X-Runner-Token", id.Token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s: %s", procedure, resp.Status, body)
	}
	return json.Unmarshal(body, out)
}

// check notes each bystander that is gone or not as it was.
func (b *bystanders) check(ctx context.Context, s *stage, a *audit) {
	now := foreignRunners(s.gitea.State(), b.runners)
	for _, was := range b.runners {
		if !slices.ContainsFunc(now, func(is giteatest.RunnerState) bool { return same(is, was) }) {
			a.touch("runner "+was.Name, "is not there as it was")
		}
	}
	for _, was := range b.containers {
		is, err := s.own.inspect(ctx, was.ID)
		if err != nil || is.State != was.State {
			a.touch("container "+was.Name, fmt.Sprintf("was %+v and is %+v, %v", was.State, is.State, err))
		}
	}
	b.checkServices(ctx, s, a)
}

// checkServices is check for the services of a Swarm.
func (b *bystanders) checkServices(ctx context.Context, s *stage, a *audit) {
	for _, was := range b.services {
		is, err := s.own.service(ctx, was.ID)
		if err != nil || is.Spec.text != was.Spec.text {
			a.touch("service "+was.Spec.Name, fmt.Sprintf("was %s and is %s, %v", was.Spec.text, is.Spec.text, err))
		}
	}
}

// foreignRunners are those of a state that are bystanders: all at the
// beginning, or else those with the ids of before.
func foreignRunners(state giteatest.State, before []giteatest.RunnerState) []giteatest.RunnerState {
	return slices.DeleteFunc(state.Runners, func(r giteatest.RunnerState) bool {
		return before != nil && !slices.ContainsFunc(before, func(b giteatest.RunnerState) bool { return b.ID == r.ID })
	})
}

// same reports whether two states are of one runner and tell the same, but
// for what its own polling changes.
func same(a, b giteatest.RunnerState) bool {
	return a.ID == b.ID && a.UUID == b.UUID && a.Name == b.Name && a.Scope == b.Scope &&
		a.Disabled == b.Disabled && a.Ephemeral == b.Ephemeral && slices.Equal(a.Labels, b.Labels)
}
