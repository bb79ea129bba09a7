package docker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/cli/cli/context/store"
)

// dockerEndpoint is what a context of the docker command calls its engine.
const dockerEndpoint = "docker"

// contextEndpoint is an engine as a context describes it.
type contextEndpoint struct {
	Host          string `json:",omitempty"`
	SkipTLSVerify bool
}

// contextDir is where the docker command keeps its contexts: below DOCKER_CONFIG,
// or else ~/.docker.
func contextDir() (string, error) {
	dir := os.Getenv("DOCKER_CONFIG")
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find the contexts of docker: %w: set DOCKER_CONFIG", err)
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "contexts"), nil
}

// endpointOfContext reads where the engine of a context is.
func endpointOfContext(name string) (endpoint, error) {
	if name == "default" {
		return endpoint{}, nil // which is the environment's, or the usual socket
	}
	dir, err := contextDir()
	if err != nil {
		return endpoint{}, err
	}
	contexts := store.New(dir, store.NewConfig(func() any { return &map[string]any{} },
		store.EndpointTypeGetter(dockerEndpoint, func() any { return &contextEndpoint{} })))
	meta, err := contexts.GetMetadata(name)
	if err != nil {
		return endpoint{}, fmt.Errorf("docker context %q: %w: %s", name, err, othersThan(contexts, dir))
	}
	found, ok := meta.Endpoints[dockerEndpoint].(contextEndpoint)
	if !ok || found.Host == "" {
		return endpoint{}, fmt.Errorf("docker context %q in %s names no engine: make it anew with docker context create", name, dir)
	}
	at := endpoint{host: found.Host, alone: true}
	files, err := contexts.ListTLSFiles(name)
	if err != nil {
		return endpoint{}, fmt.Errorf("docker context %q: read its certificates: %w", name, err)
	}
	if len(files[dockerEndpoint]) == 0 && !found.SkipTLSVerify {
		return at, nil
	}
	data := make(map[string][]byte)
	for _, file := range files[dockerEndpoint] {
		if data[file], err = contexts.GetTLSData(name, dockerEndpoint, file); err != nil {
			return endpoint{}, fmt.Errorf("docker context %q: read its certificates: %w", name, err)
		}
	}
	if at.tls, err = tlsConfig(data["ca.pem"], data["cert.pem"], data["key.pem"]); err != nil {
		return endpoint{}, fmt.Errorf("docker context %q: %w", name, err)
	}
	at.tls.InsecureSkipVerify = found.SkipTLSVerify // as whoever made the context has chosen
	return at, nil
}

// othersThan says which contexts there are.
func othersThan(contexts *store.ContextStore, dir string) string {
	names, err := store.Names(contexts)
	if err != nil || len(names) == 0 {
		return "there are none in " + dir + ": make it with docker context create, as the daemon's user or with its DOCKER_CONFIG"
	}
	slices.Sort(names)
	return "there are " + strings.Join(names, ", ") + " in " + dir
}
