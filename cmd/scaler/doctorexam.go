package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"scaler.io/scaler/internal/config"
	"scaler.io/scaler/internal/docker"
	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
)

// The headings of what is looked at.
const (
	groupConfig        = "Configuration"
	groupState         = "State"
	groupGitea         = "Gitea"
	groupDocker        = "Docker"
	groupContainer     = "Inside a container"
	groupWebhook       = "Webhook"
	groupNotifications = "Notifications"
	groupProof         = "Proof"
)

// Deadlines of checks. Each is longer than those of the calls within it.
const (
	shortCheck = 15 * time.Second
	longCheck  = 90 * time.Second
	// engineTimeout bounds one call to the engine.
	engineTimeout = 10 * time.Second
	clearTimeout  = 2 * time.Minute
)

// doctorInstance is the instance id of what the doctor makes in the engine, so
// that no daemon takes it for its own. It is the same in each run: what a run
// left that was killed is found by the next.
const doctorInstance = "scaler-doctor"

// exam is one look at all that a daemon needs.
type exam struct {
	flags  doctorFlags
	cfg    *config.Config // nil if it cannot be used
	fault  error          // why not
	unit   systemdUnit
	user   *account // whom the service runs as, if that is not us; else nil
	gitea  *gitea.Client
	engine *docker.Engine // with the pools' options, and the doctor's instance
	id     string         // name of this run, part of what it makes
	facts  docker.Facts   // set by the check of the engine
	self   string         // image of this program, set by the check that makes it
	// pending are the parts of checks that have to come to their end even when
	// their check was cut short.
	pending sync.WaitGroup
	// credentials is a directory that stands for the one that systemd makes.
	credentials string
}

// newExam reads the configuration. That it is wrong is a finding.
func newExam(ctx context.Context, flags doctorFlags) *exam {
	e := &exam{flags: flags, id: fmt.Sprintf("doctor-%d-%s", time.Now().Unix(), strings.ToLower(rand.Text()[:6]))}
	e.unit = findUnit(ctx, flags.unit, flags.config)
	e.fault = e.takeCredentials()
	if e.fault == nil {
		e.cfg, e.fault = loadFor(flags.config, flags.server)
	}
	e.user = serviceUser(e.unit, flags.config)
	log := slog.New(slog.DiscardHandler)
	var settings docker.Config
	if e.cfg != nil {
		e.gitea, e.fault = gitea.New(giteaOptions(e.cfg, log))
		settings = dockerConfig(e.cfg.Docker)
		settings.Pools = probePools(e.cfg)
	}
	settings.Instance, settings.Timeout, settings.Logger = doctorInstance, engineTimeout, log
	var err error
	if e.engine, err = docker.New(settings); err != nil && e.fault == nil {
		e.fault = err
	}
	if e.fault != nil {
		e.cfg = nil
	}
	return e
}

// checkFlags checks what only the configuration can tell.
func (e *exam) checkFlags() error {
	if e.flags.pool == "" || e.cfg == nil {
		return nil
	}
	var names []string
	for _, p := range e.cfg.Pools {
		if p.Name == e.flags.pool {
			return nil
		}
		names = append(names, p.Name)
	}
	return &usageError{fmt.Sprintf("there is no pool %q: --pool is one of %s", e.flags.pool, strings.Join(names, ", "))}
}

// checks are all of them, in the order in which they are shown.
func (e *exam) checks() []doctor.Check {
	list := []doctor.Check{
		{ID: "config", Group: groupConfig, Subject: e.flags.config, Timeout: shortCheck, Run: e.checkConfig},
		{ID: "service", Group: groupConfig, Subject: "the service", Timeout: shortCheck, Run: e.checkService},
	}
	if e.cfg == nil {
		return append(list, e.engineCheck())
	}
	list = append(list,
		doctor.Check{ID: "secrets", Group: groupConfig, Subject: "secrets", Timeout: shortCheck, Run: e.checkSecrets},
		doctor.Check{ID: "state", Group: groupState, Subject: e.cfg.StateDir, Timeout: shortCheck, Run: e.checkState},
		doctor.Check{ID: "socket", Group: groupState, Subject: e.cfg.ControlSocket, Timeout: shortCheck, Run: e.checkSocket},
		doctor.Check{ID: "pressure", Group: groupState, Subject: "limits.pressure", Timeout: shortCheck, Run: e.checkPressure},
	)
	if len(e.listeners()) > 0 {
		list = append(list, doctor.Check{ID: "listeners", Group: groupState, Subject: "addresses to listen on", Timeout: shortCheck, Run: e.checkListeners})
	}
	list = append(list, e.giteaChecks()...)
	list = append(list, e.engineCheck())
	list = append(list, e.poolChecks()...)
	list = append(list, e.wayChecks()...)
	if e.cfg.Webhook != nil {
		list = append(list, doctor.Check{ID: "webhook", Group: groupWebhook, Subject: e.cfg.Webhook.PublicURL, Needs: []string{"gitea.server"}, Timeout: longCheck, Run: e.checkWebhook})
	}
	list = append(list, e.notificationChecks()...)
	if e.flags.job {
		list = append(list, e.proofCheck())
	}
	return list
}

// close clears away what the checks have made, whatever has become of them, and
// says what is left.
func (e *exam) close(ctx context.Context) (left []doctor.Finding) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTimeout)
	defer cancel()
	ended := make(chan struct{})
	go func() { e.pending.Wait(); close(ended) }()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = errors.New("a check has not come to its end")
	}
	if e.engine != nil {
		if e.self != "" {
			err = errors.Join(err, e.clear(ctx))
		}
		err = errors.Join(err, e.engine.Close())
	}
	if e.credentials != "" {
		err = errors.Join(err, os.Unsetenv(credentialsVariable), os.RemoveAll(e.credentials))
	}
	if err == nil {
		return nil
	}
	return []doctor.Finding{{Check: "clear", Group: groupContainer, Subject: "what this made", Result: doctor.ResultFailed,
		Detail: "it is not all cleared away: " + err.Error(),
		Remedy: "run docker ps -a --filter label=" + docker.LabelInstance + "=" + doctorInstance + " and remove what it lists; the next run clears away what is older than " + leftoverAge.String()}}
}
