package gitea

import (
	"errors"
	"net/http/httptest"
	"testing"

	"scaler.io/scaler/internal/plan"
)

const pingPath = "POST /api/actions/ping.v1.PingService/Ping"

func TestProbe(t *testing.T) {
	pong := reply{kind: "application/proto"}
	tests := []struct {
		name    string
		replies map[string][]reply
		server  Server
		is      error
		want    string
	}{
		{"all there", map[string][]reply{pingPath: {pong}}, Server{Version: "1.26.0", Actions: true}, nil, ""},
		{"Forgejo", map[string][]reply{pingPath: {pong}, "GET /api/v1/version": {jsonReply(200, object{"version": "15.0.0+gitea-1.22.0"})}},
			Server{Version: "15.0.0+gitea-1.22.0", Actions: true, Forgejo: true}, nil, ""},
		{"Actions off", map[string][]reply{}, Server{Version: "1.26.0"}, plan.ErrUnsupported, "Gitea 1.26.0 answers at http://127.0.0.1:"},
		{"wrong URL", map[string][]reply{"GET /api/v1/version": {noRoute()}}, Server{}, nil, "no Gitea at http://127.0.0.1:"},
		{"a website", map[string][]reply{"GET /api/v1/version": {{body: "<html>", kind: "text/html"}}}, Server{}, nil, "is gitea.url right"},
		{"other JSON", map[string][]reply{"GET /api/v1/version": {{body: `{"v":1}`}}}, Server{}, nil, "no version in it"},
		{"a proxy's login", map[string][]reply{"GET /api/v1/version": {{status: 401, kind: "text/html"}}}, Server{}, plan.ErrDenied, "something that is not Gitea"},
		{"for users only", map[string][]reply{pingPath: {pong}, "GET /api/v1/version": {apiMessage(403, "Only signed in user is allowed to call APIs."), jsonReply(200, object{"version": "1.26.0"})}},
			Server{Version: "1.26.0", Actions: true}, nil, ""},
		{"ping broken", map[string][]reply{pingPath: {{status: 502}}}, Server{Version: "1.26.0"}, nil, "ping Actions: unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := serve(t, newStub(tt.replies), nil).Probe(t.Context())
			if got != tt.server {
				t.Errorf("server %+v, want %+v", got, tt.server)
			}
			if tt.want == "" && err != nil {
				t.Error(err)
			}
			if tt.want != "" {
				wantError(t, err, "probe server: ", tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %v is not %v", err, tt.is)
			}
		})
	}
}

func TestProbeNothingThere(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := newClient(t, Options{URL: server.URL}, nil).Probe(t.Context())
	wantError(t, err, "probe server: read version: ", "connection refused")
}
