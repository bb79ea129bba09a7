package main

import (
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

func newInitCommand() *cobra.Command {
	var flags initFlags
	cmd := &cobra.Command{
		Use: "init", Short: "Ask what a first configuration needs, check it, and write it", Args: cobra.NoArgs,
		Long: `Ask what a first configuration needs: Gitea's URL, a token or a password of an
administrator or owner, whose jobs to run, the image and labels of the runners.
Each answer is checked at once against Gitea and Docker. In the end the
configuration and its secrets are written, with modes that keep others out, and
scaler doctor looks at all of it, with one runner as a proof.

Enter takes the answer in brackets, and ? explains a question. Each question has
a flag, and one that is given is not asked. With --yes nothing is asked: what has
neither a flag nor a default is an error.

Nothing is written before the last question, and no file is replaced without a
copy of the old one. An interrupt at any moment leaves nothing behind. A second
run takes up the answers that are in the configuration.

An API token that is pasted is kept as it is. With --user and a password a token
is made that is for no more than scaler needs; the password is not kept.`,
		Example: `  sudo scaler init
  sudo scaler init --yes --url https://git.example.com --token-file token --scope org:acme
  sudo scaler init --yes --url https://git.example.com --user root --password-env PASSWORD`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := flags.check(cmd); err != nil {
				return err
			}
			// A terminal that is closed must leave nothing either.
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGHUP)
			defer stop()
			s := newSetUp(cmd, flags)
			err := s.run(ctx)
			if ctx.Err() != nil && !s.written {
				return errors.Join(errors.New("interrupted: nothing was written"), s.left)
			}
			return err
		},
	}
	flags.add(cmd)
	return cmd
}

// initFlags answer the questions of a set-up.
type initFlags struct {
	config string
	unit   string

	url, runnerURL, caFile            string
	tokenFile, tokenEnv               string
	user, passwordFile, passwordEnv   string
	scope, registrationTokenFile      string
	dockerHost, access, image, labels string
	pull, network, pool, max          string
	webhook, webhookListen            string
	stateDir, socket                  string

	job, enable, force, yes bool
}

func (f *initFlags) add(cmd *cobra.Command) {
	addConfigFlag(cmd, &f.config)
	s := cmd.Flags()
	s.StringVar(&f.unit, "unit", defaultUnit, "systemd `UNIT` that runs the daemon")
	s.StringVar(&f.url, "url", "", "Gitea's base `URL`, as this host reaches it")
	s.StringVar(&f.runnerURL, "runner-url", "", "Gitea's base `URL` as containers reach it (default the same)")
	s.StringVar(&f.caFile, "ca-file", "", "PEM `FILE` of the authority that signed Gitea's certificate")
	s.StringVar(&f.tokenFile, "token-file", "", "`FILE` with an API token of an administrator or owner; - is standard input")
	s.StringVar(&f.tokenEnv, "token-env", "", "environment `VARIABLE` with such a token")
	s.StringVar(&f.user, "user", "", "`NAME` of an administrator or owner, in whose name an API token is made")
	s.StringVar(&f.passwordFile, "password-file", "", "`FILE` with the user's password; - is standard input")
	s.StringVar(&f.passwordEnv, "password-env", "", "environment `VARIABLE` with the user's password")
	s.StringVar(&f.scope, "scope", "", "whose jobs are run: instance, org:NAME, user:NAME or repo:OWNER/NAME (default the widest that the token allows)")
	s.StringVar(&f.registrationTokenFile, "registration-token-file", "", "`FILE` with the registration token (default Gitea is asked for it)")
	s.StringVar(&f.dockerHost, "docker-host", "", "`ADDRESS` of the Docker engine, unix:// or tcp:// (default DOCKER_HOST, or the usual socket)")
	s.StringVar(&f.access, "docker-access", "", "how jobs reach Docker: none, dind or socket (default none)")
	s.StringVar(&f.image, "image", "", "`IMAGE` of the runners (default one that is here, or the official one)")
	s.StringVar(&f.labels, "labels", "", "`LABELS` of the runners, as NAME:host or NAME:docker://IMAGE, with commas between (default linux:host)")
	s.StringVar(&f.pull, "pull", "", "when the image is pulled: missing, always or never (default missing)")
	s.StringVar(&f.network, "network", "", "Docker `NETWORK` of the runners (default Docker's own)")
	s.StringVar(&f.pool, "pool", "", "`NAME` of the pool (default linux)")
	s.StringVar(&f.max, "max", "", "how many runners there are at most (default one for each CPU, and at least 2)")
	s.StringVar(&f.webhook, "webhook-url", "", "base `URL` under which Gitea reaches this host; a webhook is made then")
	s.StringVar(&f.webhookListen, "webhook-listen", "", "`ADDRESS` to listen on for it (default the port of --webhook-url)")
	s.StringVar(&f.stateDir, "state-dir", "", "`DIRECTORY` of the daemon's records (default "+defaultStateDir+")")
	s.StringVar(&f.socket, "control-socket", "", "`PATH` of its control socket (default "+defaultSocket+")")
	s.BoolVar(&f.job, "job", true, "start one runner as a proof, and take it away again")
	s.BoolVar(&f.enable, "enable", false, "enable and start the service in the end")
	s.BoolVar(&f.force, "force", false, "replace files that are there, and keep copies of them")
	s.BoolVarP(&f.yes, "yes", "y", false, "ask nothing: take the flags, and defaults for the rest")
}

// check checks what can be seen without asking anybody.
func (f *initFlags) check(cmd *cobra.Command) error {
	given := cmd.Flags().Changed
	for _, pair := range [][2]string{{"token-file", "token-env"}, {"token-file", "user"}, {"token-env", "user"}, {"password-file", "password-env"}} {
		if given(pair[0]) && given(pair[1]) {
			return &usageError{fmt.Sprintf("give --%s or --%s, not both", pair[0], pair[1])}
		}
	}
	switch {
	case !given("user") && (given("password-file") || given("password-env")):
		return &usageError{"a password needs the name of its user: give --user"}
	case given("webhook-listen") && !given("webhook-url"):
		return &usageError{"--webhook-listen needs --webhook-url, under which Gitea reaches it"}
	}
	return nil
}

// missing says which flags --yes needs beside those that are given, unless an
// earlier configuration has the answers.
func (f *initFlags) missing(was previous) error {
	if !f.yes {
		return nil
	}
	var lacks []string
	if f.url == "" && was.url() == "" {
		lacks = append(lacks, "--url")
	}
	switch {
	case f.tokenFile != "" || f.tokenEnv != "" || was.token != "":
	case f.user == "":
		lacks = append(lacks, "--token-file or --token-env, or --user with --password-file or --password-env")
	case f.passwordFile == "" && f.passwordEnv == "":
		lacks = append(lacks, "--password-file or --password-env")
	}
	if len(lacks) == 0 {
		return nil
	}
	return &usageError{"with --yes nothing is asked, so also give: " + strings.Join(lacks, "; ")}
}
