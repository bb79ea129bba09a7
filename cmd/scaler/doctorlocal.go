package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/doctor"
)

// checkConfig says whether the file can be used, and by whom.
func (e *exam) checkConfig(_ context.Context, r *doctor.Report) {
	path := e.flags.config
	problems, isProblems := errors.AsType[config.Problems](e.fault)
	switch {
	case isProblems:
		for _, p := range problems {
			r.Fail(fmt.Sprintf("%s line %d", path, p.Line), strings.TrimPrefix(p.Path+": "+p.Message, ": "), "correct it; scaler validate -c "+path+" shows whether it is good")
		}
		return
	case errors.Is(e.fault, fs.ErrNotExist):
		r.Fail(path, "there is no such file", "run scaler init, which asks what it needs and writes it; or name the file with --config")
		return
	case errors.Is(e.fault, fs.ErrPermission):
		r.Fail(path, e.fault.Error(), "run this as root, or as the user that the daemon runs as: sudo -u "+ownUser+" scaler doctor")
		return
	case e.fault != nil:
		r.Fail(path, e.fault.Error(), "correct what it says")
		return
	}
	r.OK(path, "%s", summary(e.cfg))
	for _, w := range e.cfg.Warnings() {
		r.Warn(path, w, "change it, unless it is meant")
	}
	if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o022 != 0 {
		r.Warn(path, fmt.Sprintf("others than its owner may write to it (mode %04o), and whoever may decides what runs on this machine", info.Mode().Perm()), "run chmod go-w "+path)
	}
	e.asUser(r, path, mayRead)
}

// asUser says what is wrong if the service has no access to a path that exists.
func (e *exam) asUser(r *doctor.Report, path string, want fs.FileMode) {
	if e.user == nil {
		return
	}
	absolute, err := filepath.Abs(path)
	if err == nil {
		err = e.user.reach(absolute, want)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return
	}
	remedy := fmt.Sprintf("let its group read it: chgrp %s %s && chmod 0640 %[2]s; a directory above it needs chgrp %[1]s and mode 0750", e.user.name, path)
	if want&mayWrite != 0 {
		remedy = fmt.Sprintf("give it to the user: chown -R %s: %s && chmod 0700 %[2]s", e.user.name, path)
	}
	r.Fail(path, err.Error(), remedy)
}

// checkService says what systemd makes of the daemon.
func (e *exam) checkService(_ context.Context, r *doctor.Report) {
	u := e.unit
	subject := "unit " + u.name
	if u.config != "" && !u.loaded {
		r.Skip(subject, "it runs with another configuration, %s: name the right one with --unit or --config", u.config)
		return
	}
	if !u.loaded {
		r.Skip(subject, "systemd does not know it, or does not run here")
		return
	}
	switch {
	case u.active == "failed":
		r.Fail(subject, fmt.Sprintf("it has failed: %s", u.result), "read why: journalctl -u "+u.name+" -n 50; mend it, then systemctl restart "+u.name)
	case u.active != "active":
		r.Warn(subject, "it is "+u.active, "start it when all is well: systemctl enable --now "+u.name)
	case u.enabled == "disabled":
		r.Warn(subject, "it runs, and will not after the next boot", "run systemctl enable "+u.name)
	default:
		r.OK(subject, "%s", u.active)
	}
	if u.restarts > 0 {
		r.Warn(subject, fmt.Sprintf("systemd had to start it again %s", count(u.restarts, "time")), "read why: journalctl -u "+u.name)
	}
	if u.kind != "" && u.kind != "notify" && u.kind != "notify-reload" {
		r.Warn(subject, "its Type is "+u.kind+", so systemd does not know when it is ready", "use the unit that comes with scaler, or write Type=notify")
	}
	if c := e.cfg; c != nil && c.OnShutdown == config.ShutdownDrain && u.stopTimeout > 0 && u.stopTimeout <= c.ShutdownTimeout {
		r.Fail(subject, fmt.Sprintf("systemd kills it %s after a stop, and it drains for up to shutdown_timeout, %s", u.stopTimeout, c.ShutdownTimeout),
			fmt.Sprintf("run systemctl edit %s and write TimeoutStopSec=%d below [Service], or make shutdown_timeout shorter", u.name, int(c.ShutdownTimeout.Seconds())+60))
	}
}

// checkSecrets says of each secret where it is and who may read it. That we can
// is known: the configuration is good.
func (e *exam) checkSecrets(_ context.Context, r *doctor.Report) {
	for _, s := range e.cfg.Secrets() {
		path, isFile := s.Ref.File()
		if !isFile {
			r.OK(s.Path, "%s can be read", s.Ref)
			continue
		}
		info, err := os.Stat(path)
		if err != nil {
			r.Fail(s.Path, err.Error(), "put the secret there, with mode 0600")
			continue
		}
		mode := info.Mode().Perm()
		if mode&0o020 != 0 {
			r.Warn(s.Path, fmt.Sprintf("the group may write to %s (mode %04o)", path, mode), "run chmod g-w "+path)
			continue
		}
		if e.user != nil {
			if err := e.user.reach(path, mayRead); err != nil {
				e.asUser(r, path, mayRead)
				continue
			}
		}
		r.OK(s.Path, "file %s, mode %04o", path, mode)
	}
	for _, path := range e.files() {
		e.asUser(r, path, mayRead)
	}
}

// files are the others that the daemon reads.
func (e *exam) files() (list []string) {
	c := e.cfg
	tls := func(t *config.ServerTLS) {
		if t != nil {
			list = append(list, t.CertFile, t.KeyFile)
		}
	}
	if c.Gitea.TLS.CAFile != "" {
		list = append(list, c.Gitea.TLS.CAFile)
	}
	if c.Gateway != nil {
		tls(c.Gateway.TLS)
	}
	if c.HTTP != nil {
		tls(c.HTTP.TLS)
		if c.HTTP.PasswordFile != "" {
			list = append(list, c.HTTP.PasswordFile)
		}
	}
	return list
}
