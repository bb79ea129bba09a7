package server

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"scaler.io/scaler/internal/plan"
)

// command is a way to use a new token, ready to be copied.
type command struct {
	ID, Title string
	Blocks    []commandBlock
}

// commandBlock is text to be copied, and what to do with it.
type commandBlock struct {
	Intro, Text string
}

// jobImage is the image that the runner itself uses for its own labels.
const jobImage = "docker.gitea.com/runner-images:ubuntu-latest"

// commands lists the ways to use a new token, with its secret in them.
func commands(gateway, image string, made plan.NewToken) []command {
	c := commander{
		url: gateway, image: image, secret: made.Secret.Reveal(), reusable: made.Token.Pinned,
		inContainer: labelList(made.Token.Labels, ":docker://"+jobImage), onHost: labelList(made.Token.Labels, ":host"),
	}
	return []command{c.dockerRun(), c.compose(), c.stack(), c.helm(made.Token.Labels), c.bare(), c.deregister()}
}

// labelList gives each label name the same schema.
func labelList(names []string, schema string) string {
	labels := slices.Clone(names)
	for i := range labels {
		labels[i] += schema
	}
	return strings.Join(labels, ",")
}

// commander has what the commands are made from. The labels are empty if the
// token allows any: then the runner has those of its own defaults.
type commander struct {
	url, image, secret  string
	reusable            bool
	inContainer, onHost string
}

const socketPrice = "The runner gets the Docker socket, so its jobs have the rights of root on the host."

func (c commander) dockerRun() command {
	lines := []string{
		"docker run -d --name gitea-runner --restart unless-stopped",
		"  -e GITEA_INSTANCE_URL=" + shellWord(c.url),
		"  -e GITEA_RUNNER_REGISTRATION_TOKEN=" + c.secret,
	}
	if c.inContainer != "" {
		lines = append(lines, "  -e GITEA_RUNNER_LABELS="+shellWord(c.inContainer))
	}
	lines = append(lines, "  -v gitea-runner:/data", "  -v /var/run/docker.sock:/var/run/docker.sock", "  "+shellWord(c.image))
	intro := socketPrice
	if c.reusable {
		intro += " The token stays visible in docker inspect; Compose below keeps it in a file."
	}
	return command{"docker-run", "docker run", []commandBlock{{intro, strings.Join(lines, " \\\n")}}}
}

// environment is the part of a Compose file that is the same for Swarm.
func (c commander) environment(secretName string) string {
	text := "    environment:\n      GITEA_INSTANCE_URL: " + composeText(c.url) +
		"\n      GITEA_RUNNER_REGISTRATION_TOKEN_FILE: /run/secrets/" + secretName + "\n"
	if c.inContainer != "" {
		text += "      GITEA_RUNNER_LABELS: " + composeText(c.inContainer) + "\n"
	}
	return text
}

func (c commander) compose() command {
	const name = "registration_token"
	file := "services:\n  runner:\n    image: " + composeText(c.image) + "\n    restart: unless-stopped\n" + c.environment(name) +
		"    secrets: [" + name + "]\n    volumes:\n      - data:/data\n      - /var/run/docker.sock:/var/run/docker.sock\n" +
		"secrets:\n  " + name + ":\n    file: ./registration-token\nvolumes:\n  data:"
	return command{"compose", "Docker Compose", []commandBlock{
		{"Write the token to a file:", "(umask 077 && echo " + c.secret + " > registration-token)"},
		{"Beside it, compose.yaml. " + socketPrice, file},
		{"Start it:", "docker compose up -d"},
	}}
}

func (c commander) stack() command {
	const name = "gitea_registration_token"
	file := "version: \"3.8\"\nservices:\n  runner:\n    image: " + composeText(c.image) + "\n" + c.environment(name) +
		"    secrets: [" + name + "]\n    volumes:\n"
	after := "    deploy:\n      replicas: 1\nsecrets:\n  " + name + ":\n    external: true"
	note := "A task that Swarm replaces registers anew, and the runner before it is offline until it is deregistered."
	if !c.reusable {
		file += "      - data:/data\n"
		after += "\nvolumes:\n  data:"
		note = "The token registers one runner, so this is one replica, and it finds its registration again on the same node only. For more take a reusable token."
	}
	file += "      - /var/run/docker.sock:/var/run/docker.sock\n" + after
	return command{"stack", "docker stack deploy", []commandBlock{
		{"Give the token to Swarm as a secret:", "printf %s " + c.secret + " | docker secret create " + name + " -"},
		{"stack.yaml. " + note + " " + socketPrice, file},
		{"Deploy it:", "docker stack deploy -c stack.yaml runners"},
	}}
}

func (c commander) helm(labels []string) command {
	file := "enabled: true\ngiteaRootURL: " + strconv.Quote(c.url) + "\nexistingSecret: gitea-runner-token\nexistingSecretKey: token\n" +
		"statefulset:\n  replicas: 1"
	note := "values.yaml for Gitea's chart actions."
	if !c.reusable {
		note += " The token registers one runner, so leave it at one replica."
	}
	if len(labels) > 0 {
		note += " The token allows only the labels " + strings.Join(labels, ", ") + ": set runner.labels in the runner's configuration there."
	}
	return command{"helm", "Helm", []commandBlock{
		{"Make the token a secret of the namespace:", "kubectl create secret generic gitea-runner-token --from-literal=token=" + c.secret},
		{note, file},
		{"Install it, with the chart's repository added as gitea-charts:", "helm upgrade --install runners gitea-charts/actions -f values.yaml"},
	}}
}

func (c commander) bare() command {
	text := "gitea-runner register --no-interactive \\\n  --instance " + shellWord(c.url) + " \\\n  --token " + c.secret
	if c.onHost != "" {
		text += " \\\n  --labels " + shellWord(c.onHost)
	}
	return command{"bare", "Runner without a container", []commandBlock{
		{"In the directory that the runner is to work in. In older releases the program is act_runner.", text + "\ngitea-runner daemon"},
	}}
}

func (c commander) deregister() command {
	url := shellWord(c.url + "/api/actions/runner.v1.RunnerService/Deregister")
	const kind = "-H 'Content-Type: application/json'"
	return command{"deregister", "Deregister a runner", []commandBlock{
		{"Where its .runner file is, which in a container is /data. While it has a job this is refused. Stop the runner afterwards.",
			"jq '{id, uuid, token}' .runner | curl --fail-with-body " + kind + " -d @- " + url},
		{"Or with the values of .runner written out:",
			"curl --fail-with-body " + kind + " \\\n  -d '{\"id\":\"…\",\"uuid\":\"…\",\"token\":\"…\"}' \\\n  " + url},
	}}
}

var plainWord = regexp.MustCompile(`^[0-9A-Za-z_@%+=:,./-]+$`)

// shellWord quotes text for a POSIX shell if it has to be.
func shellWord(text string) string {
	if plainWord.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// composeText quotes text for a Compose file, in which $ begins a variable.
func composeText(text string) string {
	return fmt.Sprintf("%q", strings.ReplaceAll(text, "$", "$$"))
}
