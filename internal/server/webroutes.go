package server

import "net/http"

// contentPolicy lets a page load nothing but what is embedded here, and be
// framed by nobody.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// Handler returns the routes: a few that are open to all, and the pages behind
// the login. What is behind it answers nobody else, not even that a path does
// not exist.
func (web *Web) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", web.metrics)
	mux.HandleFunc("GET /healthz", web.getAlive)
	mux.HandleFunc("GET /readyz", web.getReady)
	mux.HandleFunc("GET /assets/{file}", web.getAsset)
	mux.HandleFunc("GET /login", web.getLogin)
	mux.HandleFunc("POST /login", web.postLogin)
	mux.Handle("/", web.authenticated(web.inside()))
	guarded := http.NewCrossOriginProtection()
	guarded.SetDenyHandler(http.HandlerFunc(web.refuseForeign))
	return withPageHeaders(guarded.Handler(mux))
}

// inside returns the routes behind the login.
func (web *Web) inside() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", web.getOverview)
	mux.HandleFunc("GET /pools", web.getPools)
	mux.HandleFunc("GET /queue", web.getQueue)
	mux.HandleFunc("GET /queue/{job}", web.getJob)
	mux.HandleFunc("POST /logout", web.postLogout)
	mux.HandleFunc("GET /", web.getNowhere)
	if !web.hasGateway() {
		mux.HandleFunc("GET /tokens", web.noTokenPages)
		mux.HandleFunc("GET /tokens/", web.noTokenPages)
		return mux
	}
	mux.HandleFunc("GET /tokens", web.getTokens)
	mux.HandleFunc("GET /tokens/new", web.getTokenForm)
	mux.HandleFunc("POST /tokens/new", web.postTokenForm)
	mux.HandleFunc("GET /tokens/{name}", web.getToken)
	mux.HandleFunc("GET /tokens/{name}/{change}", web.getConfirmation)
	mux.HandleFunc("POST /tokens/{name}/{change}", web.postChange)
	return mux
}

// withPageHeaders sets what protects every answer, and bounds the body of every
// request.
//
// The referrer policy keeps all paths from other sites. It is not the stricter
// no-referrer, with which browsers send the Origin "null" with the forms of
// our own pages: over plain HTTP, where there is no Sec-Fetch-Site, these could
// then not be told from those of other sites.
func withPageHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", contentPolicy)
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		next.ServeHTTP(w, r)
	})
}

// refuseForeign answers a request that another site had the browser send.
func (web *Web) refuseForeign(w http.ResponseWriter, r *http.Request) {
	web.renderMessage(w, r, http.StatusForbidden, message{
		Title: "Sent from another site",
		Text:  "The browser says that another site sent this form. Nothing was changed. Open the page here and try again.",
	})
}

func (web *Web) getNowhere(w http.ResponseWriter, r *http.Request) {
	web.renderMessage(w, r, http.StatusNotFound, message{Title: "Not found", Text: "There is no such page."})
}

func (web *Web) noTokenPages(w http.ResponseWriter, r *http.Request) {
	web.renderMessage(w, r, http.StatusNotFound, message{
		Title: "No gateway", Text: "This scaler gives out no registration tokens. Set gateway.listen and gateway.public_url to have it do so.",
	})
}

// getOverview shows the pools, or leads to the tokens where there are any to
// be had.
func (web *Web) getOverview(w http.ResponseWriter, r *http.Request) {
	if web.hasGateway() {
		http.Redirect(w, r, "/tokens", http.StatusSeeOther)
		return
	}
	web.getPools(w, r)
}
