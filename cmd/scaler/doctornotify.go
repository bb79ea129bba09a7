package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
)

// notificationChecks are one for each target.
func (e *exam) notificationChecks() (list []doctor.Check) {
	for _, n := range e.cfg.Notifications {
		subject := "notification " + n.Name
		list = append(list, doctor.Check{ID: "notification." + n.Name, Group: groupNotifications, Subject: subject, Timeout: longCheck,
			Run: func(ctx context.Context, r *doctor.Report) { e.checkNotification(ctx, r, subject, n) }})
	}
	return list
}

// checkNotification says whether the host of a target can be reached. It sends
// no message, for which there is scaler notify test.
func (e *exam) checkNotification(ctx context.Context, r *doctor.Report, subject string, n config.Notification) {
	address, err := n.URL.Read()
	if err != nil {
		r.Fail(subject, err.Error(), "put the URL there")
		return
	}
	u, err := url.Parse(strings.ReplaceAll(address.Reveal(), "{id}", "0"))
	if err != nil || u.Host == "" {
		r.Fail(subject, "what is kept there is no URL", "write https://HOST/PATH there")
		return
	}
	transport, err := gitea.NewTransport(gitea.Options{CAFile: e.cfg.Gitea.TLS.CAFile})
	if err != nil {
		r.Fail(subject, err.Error(), "correct gitea.tls")
		return
	}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, n.RequestTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodHead, u.Scheme+"://"+u.Host+"/", nil)
	if err != nil {
		r.Fail(subject, "what is kept there is no URL", "write https://HOST/PATH there")
		return
	}
	resp, err := transport.RoundTrip(req) // which follows no redirect
	if err != nil {
		r.Fail(subject, "no answer from "+u.Host+": "+innermost(err), remedyOfTarget(wrongWith(err), u.Host))
		return
	}
	_ = resp.Body.Close()
	r.OK(subject, "%s can be reached; scaler notify test %s sends a sample", u.Host, n.Name)
}

// remedyOfTarget says what to do about a target that cannot be reached.
func remedyOfTarget(wrong, host string) string {
	switch wrong {
	case wrongName:
		return "correct the name in the URL, or make it known: getent hosts shows what it stands for"
	case wrongCert:
		return "write the PEM file of the authority that signed the certificate into gitea.tls.ca_file"
	case wrongProtocol:
		return "write http:// in place of https:// in the URL, or the other way round"
	}
	return "correct the URL, start what should listen there, or open the way to " + host
}
