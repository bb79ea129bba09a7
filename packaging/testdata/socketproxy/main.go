// Command socketproxy stands in for tecnativa/docker-socket-proxy, whose image
// is not to be had without a registry. It goes by the same variables and lets
// through what that lets through, in its strictest version: methods by POST,
// PUT and DELETE; what is done to a container by ALLOW_KILL, ALLOW_ARCHIVE and
// the like; and sections of the API by CONTAINERS, IMAGES and the like. See
// https://github.com/Tecnativa/docker-socket-proxy.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
)

// version begins a path that names the API's version.
var version = regexp.MustCompile(`^/v[0-9.]+`)

// onContainer is what needs a variable of its own, by the end of the path.
var onContainer = regexp.MustCompile(`^/containers/[a-zA-Z0-9_.-]+/(exec|kill|attach|archive|export|logs)`)

// on reports whether a variable allows something. Three are on by themselves.
func on(name string) bool {
	value, set := os.LookupEnv(name)
	if !set {
		return name == "EVENTS" || name == "PING" || name == "VERSION"
	}
	return value == "1"
}

// refusal says which variable keeps a request out, or nothing.
func refusal(r *http.Request) string {
	path := version.ReplaceAllString(r.URL.Path, "")
	if r.Method != http.MethodGet && r.Method != http.MethodHead && !on(r.Method) {
		return r.Method
	}
	if m := onContainer.FindStringSubmatch(path); m != nil && !on("ALLOW_"+strings.ToUpper(m[1])) {
		return "ALLOW_" + strings.ToUpper(m[1])
	}
	section, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if section = strings.ToUpper(strings.TrimPrefix(section, "_")); !on(section) {
		return section
	}
	return ""
}

func main() {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "engine"})
	proxy.FlushInterval = -1
	proxy.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", "/var/run/docker.sock")
	}}
	err := http.ListenAndServe(":2375", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if why := refusal(r); why != "" {
			fmt.Printf("refused %s %s by %s\n", r.Method, r.URL.Path, why)
			w.WriteHeader(http.StatusForbidden)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	fmt.Println(err)
	os.Exit(1)
}
