package main

import (
	"context"
	"errors"
	"net/http"

	"scaler.io/scaler/internal/gitea"
	"scaler.io/scaler/internal/plan"
)

// askToken asks for a token, or for a password to make one with, until the
// server knows whose it is.
func (s *setUp) askToken(ctx context.Context) error {
	if err := s.heading("API token"); err != nil {
		return err
	}
	given := s.flags.tokenFile != "" || s.flags.tokenEnv != "" || s.flags.passwordFile != "" || s.flags.passwordEnv != ""
	for {
		s.login = gitea.Credentials{}
		if err := s.takeToken(ctx); err != nil {
			return err
		}
		err := s.identify(ctx)
		if err == nil || ctx.Err() != nil || given || s.flags.yes || !errors.Is(err, plan.ErrDenied) {
			return err
		}
		if err := s.say("  %s.\n", clean(err.Error())); err != nil {
			return err
		}
		s.was.token = ""
	}
}

// identify asks the server whom the token or the password belongs to. A token
// for less than that is not known by name, which is no error.
func (s *setUp) identify(ctx context.Context) (err error) {
	if s.client, err = s.newClient(s.token); err != nil {
		return err
	}
	if s.login.Name != "" {
		s.who, err = s.client.AccountOf(ctx, s.login)
	} else {
		s.who, err = s.client.Account(ctx)
	}
	status, answered := errors.AsType[*gitea.StatusError](err)
	if errors.Is(err, plan.ErrDenied) && answered && status.HTTPStatus() == http.StatusForbidden && s.login.Name == "" {
		return nil
	}
	if err != nil {
		return err
	}
	return s.say("  You are %s%s.\n", s.who.Login, map[bool]string{true: ", a site administrator"}[s.who.Admin])
}

// takeToken takes or asks for a token or a password.
func (s *setUp) takeToken(ctx context.Context) error {
	var err error
	if s.token, err = s.secretFrom(s.flags.tokenFile, s.flags.tokenEnv); err != nil || s.token != "" {
		return err
	}
	if s.flags.user != "" {
		return s.askPassword(ctx)
	}
	if s.was.token != "" {
		use, err := s.confirm(ctx, question{text: "Use the API token of the present configuration", flag: "token-file", def: "yes",
			help: "It is kept as it is. With no, another one is asked for."})
		if err != nil {
			return err
		}
		if use {
			s.token = s.was.token
			return nil
		}
	}
	way, err := s.ask(ctx, question{
		text: "How do you want to give one", flag: "token-file", def: "token",
		help: "scaler reads jobs and makes and removes runners by Gitea's API, for which it needs a token.\n" +
			"An administrator's serves the whole server; an owner's an organization, a repository or a user.",
		options: []choice{{"token", "paste one, made under Settings > Applications"}, {"password", "log in, and have one made that is for no more than scaler needs"}},
	})
	if err != nil {
		return err
	}
	if way == "password" {
		return s.askPassword(ctx)
	}
	answer, err := s.ask(ctx, question{text: "API token, which is not shown", flag: "token-file", hidden: true,
		help: "In Gitea, open Settings > Applications, name a token, and choose for the whole server the permission\n" +
			"admin: Read and Write, for an organization organization, for a user user, for a repository repository."})
	s.token = plan.Secret(answer)
	return err
}

// askPassword logs a user in.
func (s *setUp) askPassword(ctx context.Context) error {
	name, err := s.ask(ctx, question{text: "User name", flag: "user", given: s.flags.user,
		help: "An administrator for the whole server, or an owner of what scaler is to serve."})
	if err != nil {
		return err
	}
	password, err := s.secretFrom(s.flags.passwordFile, s.flags.passwordEnv)
	if err == nil && password == "" {
		var answer string
		answer, err = s.ask(ctx, question{text: "Password, which is not shown", flag: "password-file", hidden: true,
			help: "It is used to make the token, and not kept. An account with two-factor authentication needs a token from Settings > Applications."})
		password = plan.Secret(answer)
	}
	s.login = gitea.Credentials{Name: name, Password: password}
	return err
}
