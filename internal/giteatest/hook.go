package giteatest

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"scaler.io/scaler/internal/plan"
)

// deliverTimeout is Gitea's [webhook] DELIVER_TIMEOUT.
const deliverTimeout = 5 * time.Second

// AddHook adds a system webhook for workflow_job: every change of a job's state
// is posted to the URL, signed with the secret, once and in no particular
// order. Close the server when done. The REST API makes others.
func (s *Server) AddHook(url, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks.add(hook{
		scope: plan.Scope{Kind: plan.ScopeInstance}, system: true, kind: "gitea", contentType: "json",
		url: url, secret: secret, events: []string{eventJob}, active: true,
	})
}

// notify starts the deliveries for a job's new state: of the job and of its
// commit's status. The caller holds s.mu.
func (s *Server) notify(j *job) {
	s.publish(j.repo, eventJob, func() any { return s.event(j) })
	if j.status != StatusInProgress { // which is pending as before, so that nothing is told
		s.publish(j.repo, eventStatus, func() any { return s.statusEvent(j) })
	}
}

// notifyPush starts the deliveries for the push that makes jobs. The caller
// holds s.mu.
func (s *Server) notifyPush(repo string) {
	s.publish(repo, eventPush, func() any { return s.pushEvent(repo) })
}

// publish sends an event of a repository to the webhooks that want it, if the
// release has such events. The caller holds s.mu.
func (s *Server) publish(repo, event string, payload func() any) {
	if !s.profile.rules.has(event) {
		return
	}
	hooks := s.hooks.of(repo, event)
	if len(hooks) == 0 {
		return
	}
	body := payload()
	for _, h := range hooks {
		s.send(h, event, body)
	}
}

// send starts the delivery of an event. The caller holds s.mu.
func (s *Server) send(h hook, event string, payload any) {
	if s.hookCtx.Err() != nil {
		return
	}
	body, err := json.MarshalIndent(payload, "", "  ")
	if err != nil {
		s.log.Error("webhook not encoded", "hook", h.id, "err", err)
		return
	}
	vendors := []string{"Gitea", "Gogs", "GitHub"}
	if s.profile.forgejo() {
		vendors = append(vendors, "Forgejo")
	}
	header := http.Header{}
	h.sign(header, event, body, vendors)
	if s.profile.rules.hookTarget {
		header.Set("X-Gitea-Hook-Installation-Target-Type", h.target())
	}
	s.deliveries.Go(func() {
		if err := s.deliver(h.url, header, body); err != nil && s.hookCtx.Err() == nil {
			s.log.Warn("webhook not delivered", "hook", h.id, "event", event, "err", err)
		}
	})
}

// event builds the body of a workflow_job event. The caller holds s.mu.
func (s *Server) event(j *job) map[string]any {
	base := s.base(nil)
	name, repo, _ := strings.Cut(j.repo, "/")
	converted := s.jobJSON(j, base)
	if s.profile.rules.runURL {
		converted.URL = fmt.Sprintf("%s/jobs/%d", converted.RunURL, j.id)
	}
	event := map[string]any{
		"action":       converted.Status,
		"workflow_job": converted,
		"repository": map[string]any{
			"name": repo, "full_name": j.repo, "html_url": base + "/" + j.repo,
			"owner": map[string]any{"login": name, "username": name},
		},
		"sender": map[string]any{"login": AdminLogin, "username": AdminLogin},
	}
	if s.db.owners[strings.ToLower(name)].org {
		event["organization"] = map[string]any{"name": name, "username": name}
	}
	return event
}

// pushEvent builds the body of a push event: as much as says where it was.
func (s *Server) pushEvent(repo string) map[string]any {
	return map[string]any{
		"ref": "refs/heads/main", "after": headSHA,
		"repository": map[string]any{"full_name": repo, "html_url": s.base(nil) + "/" + repo},
		"sender":     map[string]any{"login": AdminLogin, "username": AdminLogin},
	}
}

// statusEvent builds the body of a status event: a job is pending until it is
// done, and then what it ended as.
func (s *Server) statusEvent(j *job) map[string]any {
	state := j.status
	switch state {
	case StatusQueued, StatusWaiting:
		state = "pending"
	case StatusCancelled:
		state = StatusFailure
	case StatusSkipped:
		state = StatusSuccess
	}
	return map[string]any{
		"context": "demo / " + j.name + " (push)", "sha": headSHA, "state": state,
		"target_url": fmt.Sprintf("%s/%s/actions/runs/%d/jobs/%d", s.base(nil), j.repo, j.run, j.index),
		"repository": map[string]any{"full_name": j.repo, "html_url": s.base(nil) + "/" + j.repo},
		"sender":     map[string]any{"login": "gitea-actions", "username": "gitea-actions"},
	}
}

// deliver makes the one attempt that there is.
func (s *Server) deliver(url string, header http.Header, body []byte) error {
	select {
	case <-time.After(s.opts.HookDelay):
	case <-s.hookCtx.Done():
		return s.hookCtx.Err()
	}
	ctx, cancel := context.WithTimeout(s.hookCtx, deliverTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("build webhook request: %w", err)
	}
	req.Header = header
	resp, err := s.opts.HookClient.Do(req)
	if err != nil {
		return fmt.Errorf("deliver webhook: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("deliver webhook: %s", resp.Status)
	}
	return nil
}

// sign sets the headers that Gitea sends, in the names of the vendors. Without a secret the signatures are
// empty but there.
func (h hook) sign(header http.Header, event string, body []byte, vendors []string) {
	var sum1, sum256 string
	if h.secret != "" {
		mac1 := hmac.New(sha1.New, []byte(h.secret))
		mac256 := hmac.New(sha256.New, []byte(h.secret))
		mac1.Write(body)
		mac256.Write(body)
		sum1, sum256 = hex.EncodeToString(mac1.Sum(nil)), hex.EncodeToString(mac256.Sum(nil))
	}
	id := uuid.NewString()
	header.Set("Content-Type", "application/json")
	for _, vendor := range vendors {
		header.Set("X-"+vendor+"-Delivery", id)
		header.Set("X-"+vendor+"-Event", event)
		header.Set("X-"+vendor+"-Event-Type", event)
	}
	header.Set("X-Gitea-Signature", sum256)
	header.Set("X-Gogs-Signature", sum256)
	if slices.Contains(vendors, "Forgejo") {
		header.Set("X-Forgejo-Signature", sum256)
	}
	header.Set("X-Hub-Signature", "sha1="+sum1)
	header.Set("X-Hub-Signature-256", "sha256="+sum256)
}
