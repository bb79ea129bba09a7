package main

import (
	"bytes"
	"fmt"
	"strconv"
	"text/template"

	"scaler.io/scaler/internal/config"
)

// The files of secrets, beside the configuration.
const (
	apiTokenFile      = "api-token"
	registrationFile  = "registration-token"
	webhookSecretFile = "webhook-secret"
)

// stagingPrefix begins the name of the directory in which files are made whole
// before they take their places.
const stagingPrefix = ".scaler-init-"

// configTemplate is what is written. Each text is quoted.
const configTemplate = `# Written by scaler init. The meaning of all settings: scaler config reference.
# A change is taken over by the running daemon; scaler validate checks it before.
gitea:
  url: {{q .URL}}
{{- if ne .InternalURL .URL}}
  internal_url: {{q .InternalURL}} # as the daemon reaches it
{{- end}}
  api_token: {file: ` + apiTokenFile + `}
{{- if .CAFile}}
  tls: {ca_file: {{q .CAFile}}}
{{- end}}

registration_tokens:
  - name: {{.TokenName}}
    scope: {{q .Scope.String}} # whose jobs the runners take
{{- if .Registration}}
    token: {file: ` + registrationFile + `}
{{- else}}
    mint: true # the server is asked for it, and none is kept here
{{- end}}

pools:
  - name: {{q .Pool}}
    registration_token: {{.TokenName}}
    labels: [{{range $i, $l := .Labels}}{{if $i}}, {{end}}{{q $l}}{{end}}] # what jobs name in runs-on
    image: {{q .Image}}
    max: {{.Max}} # runners at most
    container:
      docker_access: {{.Access}}
{{- if .User}}
      user: {{q .User}} # the image's own user may not use the socket
{{- end}}
{{- if .Pull}}
      pull: {{.Pull}}
{{- end}}
{{- if .Network}}
      network: {{q .Network}}
{{- end}}
{{- if .WebhookURL}}

webhook:
  listen: {{q .WebhookListen}}
  public_url: {{q .WebhookURL}}
  secret: {file: ` + webhookSecretFile + `}
{{- end}}
{{- if .DockerHost}}

docker: {host: {{q .DockerHost}}}
{{- end}}
{{- if .StateDir}}

state_dir: {{q .StateDir}}
{{- end}}
{{- if .Socket}}
control_socket: {{q .Socket}}
{{- end}}
`

// render is the configuration of the answers.
func (a answers) render() ([]byte, error) {
	text, err := template.New("scaler.yaml").Funcs(template.FuncMap{"q": strconv.Quote}).Parse(configTemplate)
	if err != nil {
		return nil, fmt.Errorf("compose configuration: %w", err)
	}
	for _, place := range []struct {
		value *string
		def   string
	}{{&a.StateDir, defaultStateDir}, {&a.Socket, defaultSocket}} {
		if *place.value == place.def {
			*place.value = ""
		}
	}
	if a.Pull == string(config.PullMissing) {
		a.Pull = ""
	}
	var b bytes.Buffer
	if err := text.Execute(&b, a); err != nil {
		return nil, fmt.Errorf("compose configuration: %w", err)
	}
	return b.Bytes(), nil
}
