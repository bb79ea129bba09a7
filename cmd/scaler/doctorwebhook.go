package main

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/server"
)

// checkWebhook does what scaler webhook test does, and has Gitea deliver
// nothing where no daemon runs to take it.
func (e *exam) checkWebhook(ctx context.Context, r *doctor.Report) {
	site, err := newWebhookSite(e.cfg, e.gitea)
	if err != nil {
		r.Fail(e.cfg.Webhook.PublicURL, err.Error(), "put the secret there")
		return
	}
	transport, err := gitea.NewTransport(gitea.Options{CAFile: e.cfg.Gitea.TLS.CAFile})
	if err != nil {
		r.Fail(site.url, err.Error(), "correct gitea.tls")
		return
	}
	defer transport.CloseIdleConnections()
	t := &webhookTest{webhookSite: site, http: &http.Client{Transport: transport, Timeout: pingTimeout}, wait: arrivalLimit}
	if e.daemonRuns(ctx) {
		t.run(ctx)
	} else {
		r.Skip(site.url, "no daemon runs that would take events; scaler webhook test shows once it does whether they come")
		for _, scope := range site.scopes {
			if id, good := t.checkHook(ctx, scope); good {
				t.add(fmt.Sprintf("%s, webhook %d", scope, id), resultOK, "it is there, and sends what is needed", "")
				tellAllowed(ctx, r, urlHost(site.url))
			}
		}
	}
	for _, f := range t.findings {
		switch f.Result {
		case resultOK:
			r.OK(f.Subject, "%s", f.Detail)
		case resultFailed:
			r.Fail(f.Subject, f.Detail, f.Remedy)
		default:
			r.Warn(f.Subject, f.Detail, f.Remedy)
		}
	}
}

// tellAllowed says what Gitea has to allow for events to come, which its API
// does not tell.
func tellAllowed(ctx context.Context, r *doctor.Report, host string) {
	if inner, _ := innerAddress(ctx, host); inner.IsValid() {
		r.Skip("Gitea's ALLOWED_HOST_LIST", "whether Gitea may send to %s, which is %s, is not to be seen from here: it sends to public addresses only, unless its app.ini says "+
			"ALLOWED_HOST_LIST = external, %[1]s in the section [webhook]", host, inner)
	}
}

// urlHost is the host of a URL without its port.
func urlHost(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return s
	}
	return u.Hostname()
}

// isLoopback reports whether a host is each machine's, and each container's, own.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// daemonAnswers reports whether a daemon answers on a control socket.
func daemonAnswers(ctx context.Context, socket string) bool {
	_, err := server.NewClient(socket).Status(ctx)
	return err == nil
}
