package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// Notification is where it is told what happens, and what.
type Notification struct {
	Name           string           `yaml:"name" required:"true" pattern:"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$" rule:"letters and digits, with dashes, dots and underscores between them, 64 characters at most" example:"ops" doc:"The name by which log, status and metrics refer to it."`
	URL            Value            `yaml:"url" required:"true" example:"https://alerts.example.com/scaler" doc:"Where messages are sent to. {id} in it becomes the id of the message. A URL that is a secret by itself, as of Slack, is kept like other secrets. Redirects are not followed. Certificates are checked as those of Gitea are, also with gitea.tls.ca_file."`
	Method         string           `yaml:"method" default:"POST" enum:"POST PUT" doc:"The method of the request."`
	Bearer         *SecretRef       `yaml:"bearer" doc:"Token to be sent as Authorization: Bearer TOKEN, which Gitea and Matrix take too."`
	Headers        map[string]Value `yaml:"headers" default:"{}" example:"{X-Api-Key: {file: /etc/scaler/api-key}}" doc:"Further headers. The usual Content-Type is application/json."`
	Secret         *SecretRef       `yaml:"secret" doc:"What messages are signed with, 16 characters or more: see docs/notifications.md for how the receiver checks that. Without it they are not signed."`
	Events         []plan.EventKind `yaml:"events" default:"[breaker_opened, breaker_closed, token_refused, problem, problem_over, config_rejected, corpse_reaped, job_overdue]" enum:"job_queued job_unserved job_overdue job_gone runner runner_failed corpse_reaped orphan_reaped breaker_opened breaker_closed token_refused problem problem_over server_changed config_taken config_rejected paused resumed drain start_asked daemon_started daemon_stops" doc:"What is told."`
	Pools          []string         `yaml:"pools" default:"[]" example:"[linux]" doc:"Pools whose events are told, and beside them what concerns no pool. Empty: all."`
	OverdueAfter   time.Duration    `yaml:"overdue_after" default:"10m" min:"10s" max:"24h" doc:"How long a job may wait, from when the daemon has first seen it, until job_overdue is told, once for each job."`
	Template       string           `yaml:"template" private:"true" default:"" example:"'{\"text\": {{json .Lines}}}'" doc:"What is sent, as a template of Go's text/template: see docs/notifications.md. Without it everything is, as JSON. It is tried when the file is read."`
	Batch          int              `yaml:"batch" default:"20" min:"1" max:"100" doc:"How many events one message tells at most. Those that come within two seconds are told together."`
	RepeatAfter    time.Duration    `yaml:"repeat_after" default:"0s" min:"0s" max:"720h" doc:"For how long the same event of the same pool, or the same problem, is not told again, also over a restart."`
	Rate           NotificationRate `yaml:"rate" doc:"How many messages are sent at most. Events wait for the next one, an hour at most; how many were dropped is told by it."`
	RequestTimeout time.Duration    `yaml:"request_timeout" default:"10s" min:"100ms" max:"1m" doc:"How long one try to send a message may take. Up to eight are made within fifteen minutes."`
}

// NotificationRate bounds messages in time.
type NotificationRate struct {
	Messages int           `yaml:"messages" default:"20" min:"1" max:"1000" doc:"Messages within any stretch of per."`
	Per      time.Duration `yaml:"per" default:"1h" min:"1s" max:"24h" doc:"How long that stretch is."`
}

// notificationTemplate is the template as it has passed validation.
func (n Notification) notificationTemplate() (plan.NoticeTemplate, error) {
	return plan.ParseNoticeTemplate(n.Template)
}

// Compiled returns the template, which has passed validation.
func (n Notification) Compiled() plan.NoticeTemplate {
	t, _ := n.notificationTemplate() // it was parsed when the file was read
	return t
}

func validateNotifications(d *decoder, c *Config) {
	names := map[string]string{}
	for i, n := range c.Notifications {
		path := fmt.Sprintf("notifications[%d]", i)
		if !d.ok(path) {
			continue
		}
		d.unique(names, n.Name, path+".name")
		if at := path + ".url"; d.ok(at) {
			if address, err := n.URL.Read(); err == nil { // else it is reported already
				if err := checkTarget(address.Reveal()); err != nil {
					d.report(at, "%s", err)
				}
			}
		}
		d.checkHeaders(n, path)
		d.checkSigning(n, path)
		d.checkEvents(n, path)
		d.checkNotifiedPools(c, n, path)
		d.checkTemplate(n, path)
	}
}

// checkTarget checks a URL that messages are sent to. Its errors do not repeat
// the URL.
func checkTarget(s string) error {
	u, err := url.Parse(strings.ReplaceAll(s, "{id}", "0"))
	if err != nil {
		var parseErr *url.Error
		if errors.As(err, &parseErr) {
			err = errors.New("it cannot be read") // the inner error can show a part
		}
		return fmt.Errorf("it is no URL (%w): write https://HOST/PATH", err)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("the URL must begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("the URL has no host: write https://HOST/PATH")
	case u.User != nil:
		return errors.New("the URL has a user name or password in it: use bearer or headers")
	case u.Fragment != "":
		return errors.New("the URL has a fragment (#), which is never sent: remove it")
	}
	return nil
}

var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// reservedHeaders are set by the daemon, or belong to one connection.
var reservedHeaders = []string{"Host", "Content-Length", "Transfer-Encoding", "Connection", "Te", "Trailer", "Upgrade"}

func (d *decoder) checkHeaders(n Notification, path string) {
	for _, name := range slices.Sorted(maps.Keys(n.Headers)) {
		at, canonical := join(path+".headers", name), http.CanonicalHeaderKey(name)
		if !d.ok(path+".headers", at) {
			continue
		}
		value, err := n.Headers[name].Read()
		switch {
		case !headerName.MatchString(name):
			d.report(at, "it is no name of a header: write letters, digits and dashes")
		case slices.Contains(reservedHeaders, canonical) || strings.HasPrefix(canonical, "X-Scaler-"):
			d.report(at, "the daemon sets this header by itself: remove it")
		case canonical == "Authorization" && n.Bearer != nil:
			d.report(at, "bearer sets this header too: remove one of them")
		case err == nil && strings.ContainsFunc(value.Reveal(), func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }):
			d.report(at, "the value has a control character or more than one line: no header takes that")
		}
	}
}

func (d *decoder) checkSigning(n Notification, path string) {
	at := path + ".secret"
	if n.Secret == nil || !d.ok(at) {
		return
	}
	if secret, err := n.Secret.Read(); err == nil && len(secret) < minWebhookSecret {
		d.report(at, "it has %d characters: at least %d are needed, or others could guess it and sign messages", len(secret), minWebhookSecret)
	}
}

func (d *decoder) checkEvents(n Notification, path string) {
	at := path + ".events"
	if d.ok(at) && len(n.Events) == 0 {
		d.report(at, "nothing would be told: name at least one, like breaker_opened, or remove the key")
	}
	for i, e := range n.Events {
		if slices.Contains(n.Events[:i], e) && d.ok(fmt.Sprintf("%s[%d]", at, i)) {
			d.report(fmt.Sprintf("%s[%d]", at, i), "%s is there twice: remove one", e)
		}
	}
}

func (d *decoder) checkNotifiedPools(c *Config, n Notification, path string) {
	names := make([]string, len(c.Pools))
	for i, p := range c.Pools {
		names[i] = p.Name
		if !d.ok("pools", fmt.Sprintf("pools[%d]", i), fmt.Sprintf("pools[%d].name", i)) {
			return
		}
	}
	for i, name := range n.Pools {
		at := fmt.Sprintf("%s.pools[%d]", path, i)
		if !d.ok(at) || slices.Contains(names, name) {
			continue
		}
		if near, ok := nearest(name, names); ok {
			d.report(at, "there is no pool %q; did you mean %q?", name, near)
			continue
		}
		d.report(at, "there is no pool %q: use the name of one of pools", name)
	}
}

// checkTemplate tries a template with a sample of each event that it can be
// given, and with all of them in one message.
func (d *decoder) checkTemplate(n Notification, path string) {
	at := path + ".template"
	if n.Template == "" || !d.ok(at, path+".events") || !d.okBelow(path+".events") {
		return
	}
	t, err := n.notificationTemplate()
	if err != nil {
		d.report(at, "%s: see docs/notifications.md for what a template can use", err)
		return
	}
	samples := [][]plan.EventKind{n.Events}
	for _, kind := range n.Events {
		samples = append(samples, []plan.EventKind{kind})
	}
	for _, kinds := range samples {
		notice := plan.SampleNotice(kinds...)
		notice.Dropped = len(kinds) - 1
		body, err := t.Render(notice)
		switch {
		case err != nil:
			d.report(at, "it fails with a sample of %s: %s", sampleName(kinds), err)
			return
		case len(body) > 0 && n.sendsJSON() && !json.Valid(body):
			d.report(at, "with a sample of %s it gives no valid JSON: write texts as {{json .Lines}}, without quotes around; or set headers: {Content-Type: …} if it is not to be JSON", sampleName(kinds))
			return
		}
	}
}

func sampleName(kinds []plan.EventKind) string {
	if len(kinds) == 1 {
		return string(kinds[0])
	}
	return fmt.Sprintf("%d events", len(kinds))
}

// sendsJSON reports whether messages go out as JSON.
func (n Notification) sendsJSON() bool {
	for name := range n.Headers {
		if strings.EqualFold(name, "Content-Type") {
			return false
		}
	}
	return true
}

// notificationWarnings says of which targets others can read along.
func (c *Config) notificationWarnings() (warnings []string) {
	for _, n := range c.Notifications {
		address, err := n.URL.Read()
		if err != nil {
			continue
		}
		if u, err := url.Parse(strings.ReplaceAll(address.Reveal(), "{id}", "0")); err == nil && u.Scheme == "http" && !nearby(u.Hostname()) {
			warnings = append(warnings, fmt.Sprintf("notification %s: it is sent without encryption, so that others on the way can read it and its secrets: use https", n.Name))
		}
	}
	return warnings
}

// nearby reports whether a host is this one or in a private network, as far as
// its name says.
func nearby(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback() || addr.IsPrivate() || addr.IsLinkLocalUnicast()
	}
	return host == "localhost" || !strings.Contains(host, ".") || strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".local")
}
