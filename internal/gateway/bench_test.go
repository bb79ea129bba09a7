package gateway

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	runnerv1 "code.gitea.io/actions-proto-go/runner/v1"
	"code.gitea.io/actions-proto-go/runner/v1/runnerv1connect"
)

// ways are the server itself and the server behind a gateway.
func ways(b *testing.B, upstream http.Handler, run func(b *testing.B, base string)) {
	server := httptest.NewServer(upstream)
	defer server.Close()
	b.Run("direct", func(b *testing.B) { run(b, server.URL) })
	b.Run("gateway", func(b *testing.B) {
		to, err := url.Parse(server.URL)
		if err != nil {
			b.Fatal(err)
		}
		run(b, newFrontRig(b, rigOptions{config: func(c *Config) { c.Upstream = to }}).url)
	})
}

// BenchmarkFetchTask is what a poll costs the runner, with a server that
// answers at once.
func BenchmarkFetchTask(b *testing.B) {
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/proto")
	})
	ways(b, server, func(b *testing.B, base string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		c := runnerv1connect.NewRunnerServiceClient(client, base+"/api/actions")
		who := &runnerv1.Runner{Uuid: "a-1", Token: "t"}
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.FetchTask(b.Context(), as(who, &runnerv1.FetchTaskRequest{TasksVersion: 7})); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkUpload100MB is one artifact of 100 MiB. The allocated bytes are
// those of client, gateway and server.
func BenchmarkUpload100MB(b *testing.B) {
	server := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	ways(b, server, func(b *testing.B, base string) {
		client := &http.Client{Transport: &http.Transport{}}
		defer client.CloseIdleConnections()
		b.ReportAllocs()
		b.SetBytes(artifact)
		for b.Loop() {
			req, err := http.NewRequestWithContext(b.Context(), http.MethodPut,
				base+"/twirp/github.actions.results.api.v1.ArtifactService/UploadArtifact", &fill{n: artifact})
			if err != nil {
				b.Fatal(err)
			}
			resp, err := client.Do(req)
			if err != nil {
				b.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				b.Fatal(fmt.Errorf("upload: %s", resp.Status))
			}
		}
	})
}
