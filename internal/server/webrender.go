package server

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"scaler.io/scaler/internal/plan"
)

// assetFiles are the templates of the pages, and what they load.
//
//go:embed assets
var assetFiles embed.FS

// What all pages have in common: the frame, and parts that several show.
const (
	layoutFile = "assets/layout.html"
	partsFile  = "assets/parts.html"
)

// livePages are those that show the state as it changes.
var livePages = map[string]bool{"overview": true, "pools": true, "pool": true, "runners": true, "runner": true, "queue": true, "job": true, "events": true}

// view is what a page is made from.
type view struct {
	Title   string
	Path    string // of the page
	User    string // who is logged in, empty for nobody
	ByProxy bool   // whose login is the reverse proxy's to end
	Reader  bool   // who asks may look at the pages
	Gateway bool
	Live    string // the version of the state that it shows, if it is a live page
	Data    any
}

// message is a page with a sentence or two.
type message struct {
	Title, Text string
	// Link leads to where it goes on from here, Label says whereto.
	Link, Label string
}

// asset is a file that pages load.
type asset struct {
	kind, tag string // media type and ETag
	data      []byte
}

// parsePages returns the pages by name. The embedded files are part of the
// program, so a fault in them is a panic.
func parsePages() map[string]*template.Template {
	base := template.Must(template.New(path.Base(layoutFile)).Funcs(pageFuncs()).ParseFS(assetFiles, layoutFile, partsFile))
	files, err := fs.Glob(assetFiles, "assets/*.html")
	if err != nil {
		panic(err)
	}
	pages := make(map[string]*template.Template, len(files))
	for _, name := range files {
		if name == layoutFile || name == partsFile {
			continue
		}
		page := strings.TrimSuffix(path.Base(name), ".html")
		pages[page] = template.Must(template.Must(base.Clone()).ParseFS(assetFiles, name))
	}
	return pages
}

// pageFuncs are what the templates call.
func pageFuncs() template.FuncMap {
	return template.FuncMap{
		"join": func(list []string) string { return strings.Join(list, ", ") },
		"time": timeText,
		"iso":  func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
		"span": spanText,
		"uses": usesText,
		"kind": kindText,

		"age":   func(t time.Time) string { return ageText(time.Since(t)) },
		"until": func(t time.Time) string { return untilText(time.Until(t)) },
		"under": isUnder,
		"event": eventText,
		"of":    amountText,
		"path":  url.PathEscape,
		"clock": clockText, "moment": momentText,
		"jobs": func(rows []plan.JobDecision, explained bool) jobList { return jobList{rows, explained} },
	}
}

func timeText(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// spanText writes a duration without the units that are zero, and in days from
// two on.
func spanText(d time.Duration) string {
	if d >= 2*day && d%day == 0 {
		return strconv.Itoa(int(d/day)) + "d"
	}
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// usesText says how often a token was used, and out of how many times.
func usesText(t plan.Token) string {
	switch left := t.Left(); {
	case !t.Pinned:
		return strconv.Itoa(t.Uses) + " of 1"
	case left >= 0:
		return strconv.Itoa(t.Uses) + " of " + strconv.Itoa(t.MaxUses)
	}
	return strconv.Itoa(t.Uses)
}

func kindText(t plan.Token) string {
	if t.Pinned {
		return "reusable"
	}
	return "single use"
}

// loadAssets returns by name what pages load.
func loadAssets() map[string]asset {
	kinds := map[string]string{"style.css": "text/css; charset=utf-8", "page.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml"}
	assets := make(map[string]asset, len(kinds))
	for name, kind := range kinds {
		data, err := assetFiles.ReadFile("assets/" + name)
		if err != nil {
			panic(err)
		}
		sum := sha256.Sum256(data)
		assets[name] = asset{kind: kind, tag: `"` + hex.EncodeToString(sum[:8]) + `"`, data: data}
	}
	return assets
}

func (web *Web) getAsset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("file")
	a, found := web.assets[name]
	if !found {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", a.kind)
	w.Header().Set("Cache-Control", "no-cache") // asked for again by its tag
	w.Header().Set("ETag", a.tag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(a.data))
}

// render answers a page. It is made whole before it is sent, so that a fault
// can still be told.
func (web *Web) render(w http.ResponseWriter, r *http.Request, status int, page, title string, data any) {
	u := userOf(r)
	v := view{
		Title: title, Path: r.URL.Path, User: u.name, ByProxy: u.byProxy, Reader: u.name != "" || !web.cfg.ReadersLogIn, Gateway: web.hasGateway(), Data: data,
	}
	if livePages[page] && status == http.StatusOK {
		v.Live = web.version()
	}
	var body bytes.Buffer
	if err := web.pages[page].ExecuteTemplate(&body, path.Base(layoutFile), v); err != nil {
		web.log.Error("page not made", "page", page, "err", err)
		http.Error(w, "This page could not be made; the log says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // fails only if the client has gone
}

func (web *Web) renderMessage(w http.ResponseWriter, r *http.Request, status int, m message) {
	web.render(w, r, status, "message", m.Title, m)
}
