package docker

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
)

// asks has one call of each method of the SDK that this package uses and that
// sends a request.
var asks = map[string]func(context.Context, *client.Client){
	"ContainerCreate": func(ctx context.Context, c *client.Client) {
		_, _ = c.ContainerCreate(ctx, &container.Config{}, nil, nil, nil, "ID")
	},
	"ContainerInspect": func(ctx context.Context, c *client.Client) { _, _ = c.ContainerInspect(ctx, "ID") },
	"ContainerKill":    func(ctx context.Context, c *client.Client) { _ = c.ContainerKill(ctx, "ID", "SIGTERM") },
	"ContainerList": func(ctx context.Context, c *client.Client) {
		_, _ = c.ContainerList(ctx, container.ListOptions{})
	},
	"ContainerLogs": func(ctx context.Context, c *client.Client) {
		_, _ = c.ContainerLogs(ctx, "ID", container.LogsOptions{})
	},
	"ContainerRemove": func(ctx context.Context, c *client.Client) {
		_ = c.ContainerRemove(ctx, "ID", container.RemoveOptions{})
	},
	"ContainerStart": func(ctx context.Context, c *client.Client) {
		_ = c.ContainerStart(ctx, "ID", container.StartOptions{})
	},
	"ContainerStatPath":     func(ctx context.Context, c *client.Client) { _, _ = c.ContainerStatPath(ctx, "ID", "/") },
	"ContainerStatsOneShot": func(ctx context.Context, c *client.Client) { _, _ = c.ContainerStatsOneShot(ctx, "ID") },
	"DistributionInspect":   func(ctx context.Context, c *client.Client) { _, _ = c.DistributionInspect(ctx, "id", "") },
	"ImageList":             func(ctx context.Context, c *client.Client) { _, _ = c.ImageList(ctx, image.ListOptions{}) },
	"ContainerWait": func(ctx context.Context, c *client.Client) {
		done, errs := c.ContainerWait(ctx, "ID", container.WaitConditionRemoved)
		select {
		case <-done:
		case <-errs:
		}
	},
	"CopyFromContainer": func(ctx context.Context, c *client.Client) { _, _, _ = c.CopyFromContainer(ctx, "ID", "/") },
	"CopyToContainer": func(ctx context.Context, c *client.Client) {
		_ = c.CopyToContainer(ctx, "ID", "/", strings.NewReader(""), container.CopyToContainerOptions{})
	},
	"Events": func(ctx context.Context, c *client.Client) {
		_, errs := c.Events(ctx, events.ListOptions{})
		<-errs
	},
	"ImageImport": func(ctx context.Context, c *client.Client) {
		_, _ = c.ImageImport(ctx, image.ImportSource{SourceName: "-"}, "ID", image.ImportOptions{})
	},
	"ImageInspect": func(ctx context.Context, c *client.Client) { _, _ = c.ImageInspect(ctx, "ID") },
	"ImagePull":    func(ctx context.Context, c *client.Client) { _, _ = c.ImagePull(ctx, "id", image.PullOptions{}) },
	"ImageRemove":  func(ctx context.Context, c *client.Client) { _, _ = c.ImageRemove(ctx, "ID", image.RemoveOptions{}) },
	"Info":         func(ctx context.Context, c *client.Client) { _, _ = c.Info(ctx) },
	"NetworkInspect": func(ctx context.Context, c *client.Client) {
		_, _ = c.NetworkInspect(ctx, "ID", network.InspectOptions{})
	},
	"NegotiateAPIVersionPing": func(context.Context, *client.Client) {}, // with an answer that is there already
	"NetworkList":             func(ctx context.Context, c *client.Client) { _, _ = c.NetworkList(ctx, network.ListOptions{}) },
	"NetworkRemove":           func(ctx context.Context, c *client.Client) { _ = c.NetworkRemove(ctx, "ID") },
	"Ping":                    func(ctx context.Context, c *client.Client) { _, _ = c.Ping(ctx) },
	"ServerVersion":           func(ctx context.Context, c *client.Client) { _, _ = c.ServerVersion(ctx) },
	"VolumeRemove":            func(ctx context.Context, c *client.Client) { _ = c.VolumeRemove(ctx, "ID", false) },
}

// methodsUsed returns the methods of the SDK's client that the code calls.
func methodsUsed(t *testing.T) []string {
	t.Helper()
	used := map[string]bool{"Ping": true} // for the API's version, in client.WithAPIVersionNegotiation
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(code, noteMethods(used))
	}
	delete(used, "Close") // these ask nothing
	delete(used, "DaemonHost")
	return slices.Sorted(maps.Keys(used))
}

// noteMethods notes each method that is called of a field named client.
func noteMethods(used map[string]bool) func(ast.Node) bool {
	return func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if field, ok := method.X.(*ast.SelectorExpr); ok && field.Sel.Name == "client" {
			used[method.Sel.Name] = true
		}
		return true
	}
}

// withoutSwarm takes the methods for a Swarm out. Of those the document has the
// sections of the API only.
func withoutSwarm(used []string) (rest []string, sections map[string]bool) {
	sections = map[string]bool{}
	ofSwarm := regexp.MustCompile(`^(Config|Node|Secret|Service|Task)[A-Z]`)
	for _, method := range used {
		if m := ofSwarm.FindStringSubmatch(method); m != nil {
			sections[strings.ToUpper(m[1])+"S"] = true
			continue
		}
		rest = append(rest, method)
	}
	return rest, sections
}

// requests returns what the calls ask of an engine, as in
// "POST /containers/ID/start".
func requests(t *testing.T) []string {
	t.Helper()
	var mu sync.Mutex
	seen := map[string]bool{}
	version := regexp.MustCompile(`^/v[0-9.]+`)
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		// The name of an image is in small letters.
		seen[r.Method+" "+strings.Replace(version.ReplaceAllString(r.URL.Path, ""), "/id/", "/ID/", 1)] = true
		w.WriteHeader(http.StatusNotFound)
	}))
	defer engine.Close()
	c, err := client.NewClientWithOpts(client.WithHost("tcp://"+engine.Listener.Addr().String()), client.WithVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, ask := range asks {
		ask(t.Context(), c)
	}
	return slices.Sorted(maps.Keys(seen))
}

// Who puts a filter before the engine goes by the list in docs/install.md.
func TestDocumentListsAllRequests(t *testing.T) {
	used, sections := withoutSwarm(methodsUsed(t))
	if known := slices.Sorted(maps.Keys(asks)); !slices.Equal(used, known) {
		t.Fatalf("the code calls\n%v\nand this test knows\n%v", used, known)
	}
	text, err := os.ReadFile("../../docs/install.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## A socket proxy\n")
	if !found {
		t.Fatal("docs/install.md has no section on a socket proxy")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for name := range sections {
		if !strings.Contains(section, "`"+name+"`") {
			t.Errorf("docs/install.md does not say that a Swarm needs %s", name)
		}
	}
	var listed []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Z]+ /[^`]+)` \\|").FindAllStringSubmatch(section, -1) {
		listed = append(listed, m[1])
	}
	slices.Sort(listed)
	if asked := requests(t); !slices.Equal(listed, asked) {
		t.Errorf("docs/install.md lists\n%s\nand the daemon asks\n%s", strings.Join(listed, "\n"), strings.Join(asked, "\n"))
	}
}
