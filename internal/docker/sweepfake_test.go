package docker

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"scaler.io/scaler/internal/plan"
)

// scripted is an engine that gives each request, "METHOD /path", its answers in
// turn, the last one ever after. It keeps what was asked of it.
type scripted struct {
	mu      sync.Mutex
	answers map[string][]answer
	asked   []string
}

type answer struct {
	status int // 0 for none at all
	body   string
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/_ping" {
		w.Header().Set("Api-Version", "1.41")
		return
	}
	request := r.Method + " " + strings.TrimPrefix(r.URL.Path, "/v1.41")
	s.mu.Lock()
	s.asked = append(s.asked, request)
	given := answer{http.StatusNotFound, `{"message":"no such object"}`}
	if next := s.answers[request]; len(next) > 0 {
		given = next[0]
		if len(next) > 1 {
			s.answers[request] = next[1:]
		}
	}
	s.mu.Unlock()
	if given.status == 0 {
		<-r.Context().Done()
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(given.status)
	_, _ = io.WriteString(w, given.body)
}

func TestSweepRequests(t *testing.T) {
	const (
		list, remove   = "GET /containers/json", "DELETE /containers/c1"
		inspect, await = "GET /containers/c1/json", "POST /containers/c1/wait"
		networks       = "GET /networks"
		labels         = `"Labels":{"io.scaler.job.instance":"i","io.scaler.job.runner":"r"}`
	)
	ok := func(body string) []answer { return []answer{{http.StatusOK, body}} }
	status := func(code int) []answer { return []answer{{code, `{"message":"the engine's words"}`}} }
	job := []answer{{http.StatusOK, `[{"Id":"c1","Names":["/link/x","/` + realJob + `"],` + labels + `}]`}, {http.StatusOK, `[]`}, {http.StatusOK, `[]`}}
	volumes := []string{"DELETE /volumes/" + realJob, "DELETE /volumes/" + realJob + "-env"}
	removed := []string{"container " + realJob}
	for _, tc := range []struct {
		name    string
		answers map[string][]answer
		jobs    []string
		asked   []string
		removed []string
		err     string // empty for none
		is      error
		timeout time.Duration
	}{
		{
			name:    "nothing is left",
			answers: map[string][]answer{list: ok(`[]`)},
			asked:   []string{list},
		},
		{
			name: "the engine does not heed the filter",
			answers: map[string][]answer{list: ok(`[{"Id":"c1","Names":["/` + realJob + `"]},
				{"Id":"c1","Names":["/` + realJob + `"],"Labels":{"io.scaler.job.instance":"i","io.scaler.job.runner":"r2"}},
				{"Id":"c1","Names":["/` + realJob + `"],"Labels":{"io.scaler.job.instance":"i2","io.scaler.job.runner":"r"}},
				{"Id":"c1","Names":["/r"],"Labels":{"io.scaler.instance":"i","io.scaler.runner":"r","io.scaler.job.instance":"i","io.scaler.job.runner":"r"}}]`)},
			asked: []string{list},
		},
		{
			name:    "jobs without the form of a job",
			answers: map[string][]answer{list: ok(`[]`)},
			jobs:    []string{"", "x", "GITEA-ACTIONS-TASK-1-.*"},
			asked:   []string{list},
		},
		{
			name:    "the list fails",
			answers: map[string][]answer{list: status(http.StatusInternalServerError)},
			jobs:    []string{realJob},
			asked:   []string{list},
			err:     "sweep after runner r: list job containers: ",
		},
		{
			name:    "who bears the names is not known",
			answers: map[string][]answer{list: {{http.StatusOK, `[]`}, {http.StatusInternalServerError, `{}`}}},
			jobs:    []string{realJob},
			asked:   []string{list, list},
			err:     "sweep after runner r: list containers of jobs: ",
		},
		{
			name:    "the networks are not known",
			answers: map[string][]answer{list: job, remove: status(http.StatusNoContent), networks: status(http.StatusInternalServerError), volumes[1]: status(http.StatusNoContent)},
			asked:   []string{list, list, remove, list, networks, volumes[0], volumes[1]},
			removed: []string{"container " + realJob, "volume " + realJob + "-env"},
			err:     "list networks of jobs: ",
		},
		{
			name:    "all names are borne by others",
			answers: map[string][]answer{list: {{http.StatusOK, `[]`}, {http.StatusOK, `[{"Id":"c1","Names":["/` + realJob + `"]}]`}}},
			jobs:    []string{realJob},
			asked:   []string{list, list},
			err:     "remove what belongs to container " + realJob + ": ",
			is:      ErrForeign,
		},
		{
			name: "a service goes by itself",
			answers: map[string][]answer{
				list: {{http.StatusOK, `[]`}, {http.StatusOK, `[{"Id":"c1","Names":["/` + realService + `"]}]`}}, networks: ok(`[]`),
			},
			jobs:  []string{realJob},
			asked: []string{list, list, inspect, networks, volumes[0], volumes[1]},
		},
		{
			name: "an endpoint that is no container here",
			answers: map[string][]answer{
				list: ok(`[]`), networks: ok(`[{"Id":"n1","Name":"` + realJob + `-a-network"}]`),
				networks + "/n1": ok(`{"Containers":{"x":{"Name":"elsewhere"}}}`),
			},
			jobs:  []string{realJob},
			asked: []string{list, list, networks, networks + "/n1", list, volumes[0], volumes[1]},
			err:   "remove network " + realJob + "-a-network: used by elsewhere",
		},
		{
			name:    "gone before it is removed",
			answers: map[string][]answer{list: job, networks: ok(`[]`)},
			asked:   []string{list, list, remove, list, networks, volumes[0], volumes[1]},
		},
		{
			name:    "its removal has begun",
			answers: map[string][]answer{list: job, remove: status(http.StatusConflict), inspect: ok(`{"State":{"Status":"removing"}}`), await: ok(`{}`), networks: ok(`[]`)},
			asked:   []string{list, list, remove, inspect, await, list, networks, volumes[0], volumes[1]},
			removed: removed,
		},
		{
			name:    "its removal ends in vain",
			answers: map[string][]answer{list: job, remove: status(http.StatusConflict), inspect: ok(`{"State":{"Status":"removing"}}`), await: ok(`{"Error":{"Message":"device busy"}}`), networks: ok(`[]`)},
			asked:   []string{list, list, remove, inspect, await, list, networks, volumes[0], volumes[1]},
			err:     "remove container " + realJob + ": device busy",
		},
		{
			name:    "its removal has ended",
			answers: map[string][]answer{list: job, remove: status(http.StatusConflict), networks: ok(`[]`)},
			asked:   []string{list, list, remove, inspect, list, networks, volumes[0], volumes[1]},
			removed: removed,
		},
		{
			name:    "the engine refuses",
			answers: map[string][]answer{list: job, remove: status(http.StatusConflict), inspect: ok(`{"State":{"Status":"running"}}`), networks: ok(`[]`)},
			asked:   []string{list, list, remove, inspect, list, networks, volumes[0], volumes[1]},
			err:     "remove container " + realJob + ": Error response from daemon: the engine's words",
		},
		{
			name:    "the engine does not answer any more",
			answers: map[string][]answer{list: job, remove: {{}}},
			asked:   []string{list, list, remove},
			err:     "remove container " + realJob + ": ",
			is:      ErrUnreachable,
			timeout: 50 * time.Millisecond,
		},
		{
			name: "a step goes before the container whose network it uses",
			answers: map[string][]answer{
				list: {{http.StatusOK, fmt.Sprintf(`[{"Id":"c1","Names":["/a"],%[1]s},{"Id":"c2","Names":["/b"],"HostConfig":{"NetworkMode":"container:c1"},%[1]s}]`, labels)}},
			},
			asked: []string{list, "DELETE /containers/c2", remove},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			engine := &scripted{answers: tc.answers}
			server := httptest.NewServer(engine)
			t.Cleanup(func() {
				server.CloseClientConnections()
				server.Close()
			})
			e := fakeClient(t, Config{Host: "tcp://" + server.Listener.Addr().String(), Timeout: tc.timeout})
			removed, err := e.Sweep(t.Context(), "r", tc.jobs)
			engine.mu.Lock()
			defer engine.mu.Unlock()
			if !slices.Equal(engine.asked, tc.asked) {
				t.Errorf("asked\n\t%s\nwant\n\t%s", strings.Join(engine.asked, "\n\t"), strings.Join(tc.asked, "\n\t"))
			}
			if !slices.Equal(removed, tc.removed) {
				t.Errorf("removed %v, want %v", removed, tc.removed)
			}
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) || tc.is != nil && !errors.Is(err, tc.is) {
				t.Errorf("Sweep() = %v, want %q", err, tc.err)
			}
			if errors.Is(err, plan.ErrNotFound) {
				t.Errorf("what is gone is an error: %v", err)
			}
		})
	}
}
