package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/giteatest"
	"scaler.io/scaler/internal/plan"
	"scaler.io/scaler/internal/realgitea"
)

func TestDoctorWhereAllIsWell(t *testing.T) {
	w := newWard(t, giteatest.Options{})
	w.yaml += "notifications: [{name: ops, url: '" + w.url + "/hook/T0KEN', headers: {X-Key: {file: api-token}}}]\n"
	report, _ := w.examine(t)
	for _, f := range report.Findings {
		if strings.Contains(f.Detail+f.Remedy+f.Subject, "T0KEN") {
			t.Errorf("a URL is shown: %+v", f)
		}
		if f.Result == doctor.ResultFailed && f.Check != "self" { // an import, which this engine does not have
			t.Errorf("%s: %s", f.Subject, f.Detail)
		}
		if f.Result == doctor.ResultWarning && f.Check != "state" { // what this machine has free is its own matter
			t.Errorf("%s: %s", f.Subject, f.Detail)
		}
	}
	for _, parts := range [][]string{
		{"scaler.yaml", "1 pool (linux)"}, {"gitea.api_token", "mode 0600"}, {"registration_tokens[0].token"},
		{w.dir + "/state", "writable, and empty"}, {"none.sock", "no daemon runs, and one can make it"},
		{"connection to 127.0.0.1:"}, {"clock of Gitea's host"}, {"version", "with Actions"},
		{"list runners of instance", "0 there now"}, {"list jobs of instance"}, {"delete runners of instance"}, {"disable runners of instance"},
		{"registration token instance", "the active one of instance"},
		{"Docker engine", "28.0.0"}, {"clock of Docker's host"}, {"limits", "version 2"}, {"storage driver", "overlay2"},
		{"image of pool linux", "example/runner:1 is there"}, {"networks"},
		{"notification ops", "can be reached"}, {"notifications[0].headers.X-Key", "mode 0600"},
	} {
		wantFound(t, report.Findings, doctor.ResultOK, parts...)
	}
	wantFound(t, report.Findings, doctor.ResultSkipped, "limits.pressure", "not used")
	wantFound(t, report.Findings, doctor.ResultSkipped, "unit none.service")
	if state := w.server.State(); len(state.Runners) != 0 {
		t.Errorf("runners were made: %+v", state.Runners)
	}
}

// TestDoctorFaults has for each check what it finds where something is wrong,
// with what to do.
func TestDoctorFaults(t *testing.T) {
	const failed, warning = doctor.ResultFailed, doctor.ResultWarning
	tests := []struct {
		name   string
		server giteatest.Options
		ill    func(*testing.T, *ward)
		result doctor.Result
		parts  []string
	}{
		{"faults in the file", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, "max: 3", "max: 0") }, failed, []string{"line 5", "pools[0].max", "scaler validate"}},
		{"file open to others", giteatest.Options{}, func(t *testing.T, w *ward) { mode(t, w.config(t), 0o666) }, warning, []string{"may write to it", "chmod go-w"}},
		{"warning of the file", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, "{}", "{docker_access: socket}") }, warning, []string{"master of this host"}},
		{"secret open to others", giteatest.Options{}, func(t *testing.T, w *ward) { mode(t, w.dir+"/api-token", 0o604) }, failed, []string{"gitea.api_token", "chmod o="}},
		{"secret that the group may write", giteatest.Options{}, func(t *testing.T, w *ward) { mode(t, w.dir+"/api-token", 0o660) }, warning, []string{"gitea.api_token", "chmod g-w"}},
		{"state open to others", giteatest.Options{}, func(t *testing.T, w *ward) { mode(t, w.dir+"/state", 0o755) }, failed, []string{"/state", "other users", "chmod 0700"}},
		{"state that is a file", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, "/state\n", "/api-token\n") }, failed, []string{"not a directory", "another state_dir"}},
		{"state that is damaged", giteatest.Options{}, func(t *testing.T, w *ward) { write(t, w.dir+"/state/scaler.db", "no database") }, failed, []string{"/state", "scaler state check"}},
		{"socket that is a file", giteatest.Options{}, func(t *testing.T, w *ward) { write(t, w.dir+"/none.sock", "") }, failed, []string{"something else than a socket", "another control_socket"}},
		{"daemon in trouble", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.change(t, w.dir+"/none.sock", startDaemon(t, &fakeDaemon{status: badNight()}))
		}, warning, []string{"the daemon says of pool windows", "scaler status"}},
		{"daemon of another version", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.change(t, w.dir+"/none.sock", startDaemon(t, &fakeDaemon{status: badNight()}))
		}, warning, []string{"the daemon is version v1.2.3", "systemctl restart none.service"}},
		{"address in use", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.yaml += fmt.Sprintf("http: {listen: %q}\n", strings.TrimPrefix(w.url, "http://"))
		}, failed, []string{"http.listen", "in use by another program", "ss -ltnp"}},
		{"address of another host", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.yaml += "http: {listen: \"192.0.2.1:9180\"}\n"
		}, failed, []string{"http.listen", "192.0.2.1", "an address of this host"}},
		{"pressure that cannot be measured", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.yaml += "limits: {pressure: {free_disk: 1g, disk_paths: [/nonexistent]}}\n"
		}, failed, []string{"limits.pressure", "would start nothing", "disk_paths"}},

		{"notification that nobody takes", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.yaml += "notifications: [{name: ops, url: 'http://127.0.0.1:1/T0KEN'}]\n"
		}, failed, []string{"notification ops", "no answer from 127.0.0.1:1", "refused", "start what should listen there"}},
		{"notification to an unknown host", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.yaml += "notifications: [{name: ops, url: 'https://no-such-host.invalid/T0KEN'}]\n"
		}, failed, []string{"notification ops", "no answer from no-such-host.invalid", "getent hosts"}},

		{"nothing listens", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, w.url, "http://127.0.0.1:1") }, failed, []string{"connection to 127.0.0.1:1", "refused", "start Gitea, or correct the port in gitea.url"}},
		{"another scheme", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, w.url, strings.Replace(w.url, "http", "https", 1)) }, failed, []string{"TLS with 127.0.0.1", "http:// in place of https://"}},
		{"unknown authority", giteatest.Options{}, func(t *testing.T, w *ward) {
			secure := httptest.NewUnstartedServer(w.server)
			secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
			secure.StartTLS()
			t.Cleanup(secure.Close)
			w.change(t, w.url, secure.URL)
		}, failed, []string{"TLS with", "unknown authority", "gitea.tls.ca_file"}},
		{"no Gitea", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.before = func(http.Handler) http.Handler { return http.NotFoundHandler() }
		}, failed, []string{"version", "no Gitea at", "base URL"}},
		{"clock is off", giteatest.Options{}, func(t *testing.T, w *ward) { w.before = dated(-time.Hour) }, failed, []string{"clock of Gitea's host", "1h0m", "behind", "timedatectl"}},
		{"clock is off a little", giteatest.Options{}, func(t *testing.T, w *ward) { w.before = dated(20 * time.Second) }, warning, []string{"clock of Gitea's host", "ahead of", "timedatectl"}},
		{"no ephemeral runners", old("gitea-1.23"), nil, warning, []string{"end ephemeral runners", "Instead: the runner ends itself", "upgrade to Gitea 1.24"}},
		{"no jobs and no events", old("gitea-1.23"), nil, warning, []string{"list queued and running jobs", "upgrade to Gitea 1.25", "set webhook", "pushed"}},
		{"no jobs but events", old("gitea-1.24"), nil, warning, []string{"list queued and running jobs", "set webhook", "which jobs wait"}},
		{"Forgejo", old("forgejo-15"), nil, doctor.ResultSkipped, []string{"say which runner has which job", "Instead: the runners' logs", "no release of Forgejo"}},
		{"an old Forgejo", old("forgejo-11"), nil, warning, []string{"list runners", "upgrade to Forgejo 15"}},
		{"Forgejo lists its jobs", old("forgejo-11"), nil, doctor.ResultOK, []string{"list jobs of instance", "allowed"}},
		{"an old server is not refused", old("gitea-1.22"), nil, doctor.ResultOK, []string{"registration token of instance", "allowed"}},
		{"no Actions", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.before = func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/api/actions/") {
						http.NotFound(out, r)
						return
					}
					h.ServeHTTP(out, r)
				})
			}
		}, failed, []string{"Actions", "ENABLED = true"}},
		{"jobs cannot be listed", giteatest.Options{DisableJobs: true}, nil, warning, []string{"list queued and running jobs", "upgrade to Gitea 1.25"}},
		{"runners cannot be listed", giteatest.Options{DisableRunners: true}, nil, warning, []string{"list runners", "Instead: the runners' logs", "upgrade to Gitea 1.24"}},
		{"runners cannot be disabled", giteatest.Options{DisablePatch: true}, nil, warning, []string{"disable runners", "empty runs-on", "Instead: a runner is withdrawn", "upgrade to Gitea 1.26"}},
		{"wrong API token", giteatest.Options{APIToken: "another-token"}, nil, failed, []string{"list runners of instance", "missing, wrong or expired", "write:admin"}},
		{"token that reads only", giteatest.Options{APIToken: "another-token"}, func(t *testing.T, w *ward) {
			w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "root", Admin: true, Scopes: []string{"read:admin"}})
		}, failed, []string{"delete runners of instance", "write:admin", "Settings > Applications"}},
		{"token of somebody else", giteatest.Options{APIToken: "another-token"}, func(t *testing.T, w *ward) {
			w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "ann"})
		}, failed, []string{"list runners of instance", "site administrator"}},
		{"no such organization", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, "scope: instance", "scope: org:nobody") }, failed, []string{"list runners of org:nobody", "correct the scope"}},
		{"registration token was reset", giteatest.Options{}, func(t *testing.T, w *ward) { w.server.ResetToken(plan.Scope{Kind: plan.ScopeInstance}) }, failed, []string{"registration token instance", "not the active", "/-/admin/actions/runners", "mint: true"}},
		{"registration token may not be minted", giteatest.Options{APIToken: "another-token"}, func(t *testing.T, w *ward) {
			w.change(t, "token: {file: registration-token}", "mint: true")
			w.before = func(h http.Handler) http.Handler {
				return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
					if strings.HasSuffix(r.URL.Path, "/registration-token") {
						out.Header().Set("Content-Type", "application/json")
						out.WriteHeader(http.StatusForbidden)
						_, _ = io.WriteString(out, `{"message":"token does not have at least one of required scope(s)"}`)
						return
					}
					h.ServeHTTP(out, r)
				})
			}
			w.server.AddAPIToken(doctorToken, giteatest.APIUser{Login: "root", Admin: true})
		}, failed, []string{"registration token instance", "write:admin", "in place of mint: true"}},

		{"no engine", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, "docker.sock", "gone.sock") }, failed, []string{"Docker engine", "does not exist", "systemctl start docker"}},
		{"engine that does not answer well", giteatest.Options{}, func(t *testing.T, w *ward) { w.engine["GET /info"] = "" }, failed, []string{"Docker engine", "refused by the engine"}},
		{"containers of another system", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.engine["GET /version"] = `{"Version":"28.0.0","Os":"windows","Arch":"amd64"}`
		}, failed, []string{"containers", "windows", "Linux containers"}},
		{"engine's clock is off", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.engine["GET /info"] = strings.Replace(goodFacts, "NOW", "2020-01-01T00:00:00Z", 1)
		}, failed, []string{"clock of Docker's host", "behind", "timedatectl"}},
		{"memory cannot be limited", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.engine["GET /info"] = strings.Replace(goodFacts, `"MemoryLimit":true`, `"MemoryLimit":false`, 1)
			w.change(t, "{}", "{memory: 1g}")
		}, failed, []string{"limits", "container.memory of pool linux", "cgroup_enable=memory"}},
		{"slow storage", giteatest.Options{}, func(t *testing.T, w *ward) { w.engine["GET /info"] = strings.Replace(goodFacts, "overlay2", "vfs", 1) }, warning, []string{"storage driver", "overlay2"}},
		{"privileged in vain", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.engine["GET /info"] = strings.Replace(goodFacts, "{", `{"SecurityOptions":["name=userns"],`, 1)
			w.change(t, "{}", "{docker_access: dind}")
		}, warning, []string{"privileged containers", "pool linux", "userns-remap"}},
		{"image that is not here and never pulled", giteatest.Options{}, func(t *testing.T, w *ward) {
			delete(w.engine, "GET /images/example/runner:1/json")
			w.change(t, "{}", "{pull: never}")
		}, failed, []string{"image of pool linux", "docker pull example/runner:1"}},
		{"image that no registry has", giteatest.Options{}, func(t *testing.T, w *ward) { delete(w.engine, "GET /images/example/runner:1/json") }, failed, []string{"image of pool linux", "ask the registry", "registry_auth"}},
		{"image for another processor", giteatest.Options{}, func(t *testing.T, w *ward) {
			w.engine["GET /images/example/runner:1/json"] = `{"Id":"sha256:1","Os":"linux","Architecture":"arm64"}`
		}, failed, []string{"image of pool linux", "linux/arm64", "docker pull --platform linux/amd64"}},
		{"image for other processors only", giteatest.Options{}, func(t *testing.T, w *ward) {
			delete(w.engine, "GET /images/example/runner:1/json")
			w.engine["GET /distribution/example/runner:1/json"] = `{"Platforms":[{"os":"linux","architecture":"riscv64"}]}`
		}, failed, []string{"image of pool linux", "linux/riscv64", "name another image"}},
		{"image that is not on this node", giteatest.Options{}, func(t *testing.T, w *ward) {
			delete(w.engine, "GET /images/example/runner:1/json")
			w.change(t, "{}", "{pull: never}")
			w.yaml += "engine: swarm\n"
			w.engine["GET /info"] = strings.Replace(goodFacts, "{", `{"Swarm":{"LocalNodeState":"active","ControlAvailable":true},`, 1)
		}, warning, []string{"image of pool linux", "not on this node", "each node"}},
		{"no Swarm", giteatest.Options{}, func(t *testing.T, w *ward) { w.yaml += "engine: swarm\n" }, failed, []string{"Swarm", "docker swarm init"}},
		{"network that is not there", giteatest.Options{}, func(t *testing.T, w *ward) { w.change(t, "{}", "{network: builds}") }, failed, []string{"network of pool linux", "docker network create builds"}},
		{"no webhook", giteatest.Options{}, func(t *testing.T, w *ward) {
			write(t, w.dir+"/hook", "secret-of-the-webhook-test\n")
			w.yaml += "webhook: {listen: \"127.0.0.1:1\", public_url: \"http://127.0.0.1:1\", secret: {file: hook}}\n"
		}, failed, []string{"instance", "no webhook in Gitea sends to http://127.0.0.1:1/webhook", "scaler webhook create"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t, tt.server)
			if tt.ill != nil {
				tt.ill(t, w)
			}
			report, code := w.examine(t)
			wantFound(t, report.Findings, tt.result, tt.parts...)
			if tt.result == failed && (code != exitFailure || report.OK) {
				t.Errorf("exit code %d, ok %v", code, report.OK)
			}
		})
	}
}

// TestDoctorWebhookWithoutADaemon says what is known of the way of events.
func TestDoctorWebhookWithoutADaemon(t *testing.T) {
	w := newWard(t, giteatest.Options{})
	write(t, w.dir+"/hook", "secret-of-the-webhook-test\n")
	w.yaml += fmt.Sprintf("webhook: {listen: %q, public_url: \"http://127.0.0.1:1\", secret: {file: hook}}\n", realgitea.FreeAddress(t, "127.0.0.1"))
	mustRun(t, "webhook", "create", "-c", w.config(t))
	report, _ := w.examine(t)
	wantFound(t, report.Findings, doctor.ResultOK, "instance, webhook 1", "sends what is needed")
	wantFound(t, report.Findings, doctor.ResultSkipped, "no daemon runs", "scaler webhook test")
	wantFound(t, report.Findings, doctor.ResultSkipped, "ALLOWED_HOST_LIST = external, 127.0.0.1")
	wantFound(t, report.Findings, doctor.ResultOK, "webhook.listen", "is free")
}

// TestDoctorJSON holds the keys to those of docs/operations.md.
func TestDoctorJSON(t *testing.T) {
	document, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	out, _, _ := runCommand(t, "doctor", "--json", "--unit", "none.service", "-c", "/nonexistent/scaler.yaml")
	var report map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(document), "\n## Doctor\n")
	section, _, _ = strings.Cut(section, "\n## ")
	keys := slices.Collect(maps.Keys(report))
	for key := range report["findings"].([]any)[0].(map[string]any) {
		keys = append(keys, key)
	}
	if len(keys) < 10 {
		t.Errorf("only %v", keys)
	}
	for _, key := range keys {
		if !strings.Contains(section, "`"+key+"`") && !strings.Contains(section, "`findings[]."+key+"`") && key != "findings" {
			t.Errorf("docs/operations.md does not tell of %s", key)
		}
	}
}

func TestDoctorWithoutConfiguration(t *testing.T) {
	out, errs, code := runCommand(t, "doctor", "--unit", "none.service", "-c", "/nonexistent/scaler.yaml")
	if code != exitFailure || errs != "" || !strings.Contains(out, "there is no such file") || !strings.Contains(out, "To do: run scaler init") {
		t.Errorf("exit code %d, %s%s", code, out, errs)
	}
}

func TestDoctorUsage(t *testing.T) {
	w := newWard(t, giteatest.Options{})
	path := w.config(t)
	for args, want := range map[string]string{
		"doctor --pool linux -c " + path:         "give --job too",
		"doctor --job --pool windows -c " + path: `there is no pool "windows": --pool is one of linux`,
		"doctor --jobs -c " + path:               "unknown flag",
		"doctor now -c " + path:                  "unknown command",
	} {
		if _, errs, code := runCommand(t, strings.Fields(args)...); code != exitUsage || !strings.Contains(errs, want) {
			t.Errorf("%s: exit code %d, %s", args, code, errs)
		}
	}
}
