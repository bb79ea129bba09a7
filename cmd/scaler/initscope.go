package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// maxOffered bounds how many organizations and repositories are tried and
// offered.
const maxOffered = 20

// askScope asks whose jobs are run, of what the token allows, and tries all that
// is needed there.
func (s *setUp) askScope(ctx context.Context) error {
	if err := s.heading("Scope"); err != nil {
		return err
	}
	offered, err := s.offeredScopes(ctx)
	if err != nil {
		return err
	}
	wide := s.who.Login != "" && s.login.Name == "" // it is for more than its scope needs
	given := s.flags.scope
	for {
		if err := s.chooseScope(ctx, offered, given); err != nil {
			return err
		}
		if err := s.narrow(ctx); err != nil {
			return err
		}
		good := s.look(ctx, doctor.Check{ID: "scope", Subject: "API token", Timeout: longCheck, Run: func(ctx context.Context, r *doctor.Report) {
			checkScope(ctx, r, s.client, s.answers.Scope, false)
		}})
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case good:
			return s.askRegistration(ctx, wide)
		case given != "" || s.flags.yes:
			return fmt.Errorf("the API token does not suffice for scope %s: see above", s.answers.Scope)
		}
		if err := s.undo(ctx); err != nil {
			return err
		}
		s.made = ""
	}
}

// offeredScopes are those that the user can serve, as far as they are known.
func (s *setUp) offeredScopes(ctx context.Context) (offered []choice, err error) {
	who := s.who
	add := func(scope plan.Scope, what string) {
		if s.login.Name == "" { // the token says more than the list
			if _, err := s.client.Runners(ctx, scope); err != nil && !errors.Is(err, plan.ErrUnsupported) {
				return
			}
		}
		offered = append(offered, choice{scope.String(), what})
	}
	instance := plan.Scope{Kind: plan.ScopeInstance}
	if who.Admin || who.Login == "" { // a narrow token does not say whose it is
		add(instance, "all repositories of the server")
	}
	for _, org := range who.Orgs[:min(len(who.Orgs), maxOffered)] {
		add(plan.Scope{Kind: plan.ScopeOrg, Owner: org}, "the repositories of this organization")
	}
	if who.Login != "" {
		add(plan.Scope{Kind: plan.ScopeUser, Owner: who.Login}, "your own repositories")
	}
	for _, repo := range who.Repos[:min(len(who.Repos), maxOffered)] {
		owner, name, _ := strings.Cut(repo, "/")
		add(plan.Scope{Kind: plan.ScopeRepo, Owner: owner, Repo: name}, "this repository alone")
	}
	return offered, ctx.Err()
}

func (s *setUp) chooseScope(ctx context.Context, offered []choice, given string) error {
	def := ""
	if len(offered) > 0 {
		def = offered[0].value
	}
	if s.was.cfg != nil && len(s.was.cfg.RegistrationTokens) > 0 {
		def = s.was.cfg.RegistrationTokens[0].Scope.String()
	}
	answer, err := s.ask(ctx, question{
		text: "Whose jobs are to be run", flag: "scope", def: def, given: given, options: offered, other: true,
		help:  "instance: the whole server. org:NAME, user:NAME, repo:OWNER/NAME: what that owns, and nothing else.\nOther scopes than those in the list can be written too.",
		check: func(text string) error { _, err := plan.ParseScope(text); return err },
	})
	if err != nil {
		return err
	}
	s.answers.Scope, err = plan.ParseScope(answer)
	s.answers.TokenName = string(s.answers.Scope.Kind)
	return err
}

// narrow makes a token for the chosen scope, if there is a password to do it
// with.
func (s *setUp) narrow(ctx context.Context) error {
	if s.login.Name == "" {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	permissions := []string{gitea.Permission(s.answers.Scope)}
	if s.can.Product == plan.ProductForgejo && s.answers.Scope.Kind != plan.ScopeRepo {
		permissions = append(permissions, "read:repository") // for the names of repositories
	}
	for n := 1; ; n++ {
		name := "scaler-" + host
		if n > 1 {
			name = fmt.Sprintf("%s-%d", name, n)
		}
		token, err := s.client.MakeToken(ctx, s.login, name, permissions...)
		if errors.Is(err, plan.ErrConflict) && n < 100 {
			continue
		}
		if err != nil {
			return err
		}
		s.made, s.token = name, token
		if s.client, err = s.newClient(token); err != nil {
			return err
		}
		return s.say("  Made API token %s, which is for %s alone. The password is not kept.\n", name, strings.Join(permissions, " and "))
	}
}

// askRegistration says what is kept of the API token, and asks for the
// registration token.
func (s *setUp) askRegistration(ctx context.Context, wide bool) error {
	if wide {
		if err := s.say("  The API token is kept as it is. It may do more than scaler needs, which is %s: a narrower one is made\n"+
			"  under Settings > Applications, and takes effect as soon as it is in the place of this one.\n", gitea.Permission(s.answers.Scope)); err != nil {
			return err
		}
	}
	if s.flags.registrationTokenFile != "" {
		token, err := s.secretFrom(s.flags.registrationTokenFile, "")
		if err != nil {
			return err
		}
		return s.takeRegistration(ctx, token)
	}
	if s.can.Create {
		return s.say("  The API token makes the runners here: there is no registration token.\n")
	}
	q := question{
		text: "Registration token", flag: "registration-token-file", def: "ask",
		help:    "Runners register with it. ask: scaler gets it from Gitea when it needs it, and keeps none in a file.\npaste: the one that Gitea shows under Actions > Runners > Create new Runner.",
		options: []choice{{"ask", "scaler asks Gitea for it"}, {"paste", "keep one in a file"}},
	}
	kept := s.was.registration(s.answers.Scope)
	if kept != "" {
		q.options, q.def = append([]choice{{"keep", "the one of the present configuration"}}, q.options...), "keep"
	}
	way, err := s.ask(ctx, q)
	switch {
	case err != nil || way == "ask":
		return err
	case way == "keep":
		return s.takeRegistration(ctx, kept)
	}
	answer, err := s.ask(ctx, question{text: "Registration token, which is not shown", flag: "registration-token-file", hidden: true,
		help: "It is on " + runnersPage(s.answers.URL, s.answers.Scope) + " under Create new Runner."})
	if err != nil {
		return err
	}
	return s.takeRegistration(ctx, plan.Secret(answer))
}

// takeRegistration takes a registration token that is the active one.
func (s *setUp) takeRegistration(ctx context.Context, token plan.Secret) error {
	active, err := s.client.MintToken(ctx, s.answers.Scope)
	if err == nil && active != token {
		return fmt.Errorf("the registration token is not the active one of %s: copy the one that %s shows under Create new Runner", s.answers.Scope, runnersPage(s.answers.URL, s.answers.Scope))
	}
	s.answers.Registration = token
	return err
}
