package main

import (
	"context"
	"errors"
	"net"
	"net/url"
	"strings"

	"scaler.io/scaler/internal/doctor"
	"scaler.io/scaler/internal/gitea"
)

// askGitea asks where the server is until one answers that can be used.
func (s *setUp) askGitea(ctx context.Context) error {
	if err := s.heading("Gitea"); err != nil {
		return err
	}
	s.answers.CAFile = s.flags.caFile
	if s.answers.CAFile == "" && s.was.cfg != nil {
		s.answers.CAFile = s.was.cfg.Gitea.TLS.CAFile
	}
	if s.answers.CAFile != "" {
		s.answers.CAFile = absolute(s.answers.CAFile)
	}
	given := s.flags.url
	for {
		answer, err := s.ask(ctx, question{
			text: "Gitea's URL", flag: "url", def: s.was.url(), given: given, check: checkURL,
			help: "The address that you see Gitea under in a browser, up to its first page, such as\nhttps://git.example.com. It is Gitea 1.22 or newer, or Forgejo 7 or newer, with Actions\nswitched on.",
		})
		if err != nil {
			return err
		}
		s.answers.InternalURL = strings.TrimRight(answer, "/")
		s.answers.URL = s.answers.InternalURL
		good, wrong := s.lookAtGitea(ctx)
		for !good && wrong == wrongCert && !s.flags.yes && ctx.Err() == nil {
			if err := s.askCA(ctx); err != nil {
				return err
			}
			good, wrong = s.lookAtGitea(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case good:
			return nil
		case wrong == wrongCert:
			return errors.New("this server's certificate is not to be trusted: give --ca-file with the PEM file of the authority that signed it")
		case given != "" || s.flags.yes:
			return errors.New("this server cannot be used: see above")
		}
	}
}

// askCA asks who has signed the server's certificate.
func (s *setUp) askCA(ctx context.Context) error {
	answer, err := s.ask(ctx, question{
		text: "PEM file of the authority that signed the certificate", flag: "ca-file", check: func(path string) error {
			_, err := gitea.NewTransport(gitea.Options{CAFile: path})
			return err
		},
		help: "A file with BEGIN CERTIFICATE in it, which whoever runs Gitea or your network can give you.",
	})
	s.answers.CAFile = absolute(answer)
	return err
}

// checkURL checks what the configuration would refuse.
func checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Scheme != "http" && u.Scheme != "https", u.Hostname() == "":
		return errors.New("write a URL like https://git.example.com")
	case u.User != nil:
		return errors.New("write it without a user name and password")
	case u.RawQuery != "", u.Fragment != "":
		return errors.New("write it without ? and #")
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/api/v1"):
		return errors.New("write it without /api/v1")
	}
	return nil
}

// lookAtGitea looks whether the server can be used, and otherwise says what is
// wrong with the way to it, if that is what is wrong.
func (s *setUp) lookAtGitea(ctx context.Context) (good bool, wrong string) {
	transport, err := gitea.NewTransport(gitea.Options{CAFile: s.answers.CAFile})
	if err != nil {
		_ = s.say("  %v\n", err)
		return false, ""
	}
	defer transport.CloseIdleConnections()
	good = s.look(ctx,
		doctor.Check{ID: "way", Subject: s.answers.InternalURL, Timeout: shortCheck, Run: func(ctx context.Context, r *doctor.Report) {
			ctx, cancel := context.WithTimeout(ctx, gitea.DefaultTimeout)
			defer cancel()
			found := tryWay(ctx, transport, s.answers.InternalURL)
			wrong = found.Wrong
			tellWay(r, found, "the URL")
			if found.Step == "" {
				tellClock(r, "clock of Gitea's host", found.Server, found.Asked, "on whichever is wrong, run timedatectl set-ntp true")
			}
		}},
		doctor.Check{ID: "server", Subject: "version", Needs: []string{"way"}, Timeout: longCheck, Run: func(ctx context.Context, r *doctor.Report) {
			client, err := s.newClient("")
			if err != nil {
				r.Fail("version", err.Error(), "correct the URL")
				return
			}
			server, err := client.Probe(ctx)
			tellServer(r, server, err)
			if err == nil {
				s.can, err = client.Capabilities(ctx)
			}
			if err == nil {
				tellMissing(r, s.can, false)
			}
		}})
	return good, wrong
}

// hostPort is host and port of a URL, with the scheme's own port.
func hostPort(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"https": "443"}[u.Scheme]
	}
	if port == "" {
		port = "80"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// outboundHost is the address by which this machine reaches another, which most
// likely is the one by which that reaches this.
func outboundHost(target string) string {
	conn, err := net.Dial("udp", target) // sends nothing
	if err != nil {
		return ""
	}
	defer conn.Close()
	host, _, _ := net.SplitHostPort(conn.LocalAddr().String())
	return host
}
