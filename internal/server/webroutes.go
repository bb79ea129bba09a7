package server

import "net/http"

// contentPolicy lets a page load nothing but what is embedded here, and be
// framed by nobody.
const contentPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

// audience says who is answered.
type audience int

const (
	forAll     audience = iota
	forReaders          // everybody, or who is logged in: see WebConfig.ReadersLogIn
	forUsers            // who is logged in
)

// webRoute is a method of a path, with who is answered there.
type webRoute struct {
	pattern string
	forWhom audience
	serve   http.HandlerFunc
}

// routes lists all that is answered. A method is in each pattern, so that
// nothing answers a method that nobody thought of.
func (web *Web) routes() []webRoute {
	list := []webRoute{
		{"GET /metrics", forAll, web.metrics.ServeHTTP},
		{"GET /healthz", forAll, web.getAlive},
		{"GET /readyz", forAll, web.getReady},
		{"GET /assets/{file}", forAll, web.getAsset},
		{"GET /login", forAll, web.getLogin},
		{"POST /login", forAll, web.postLogin},
		{"POST /logout", forUsers, web.postLogout},
		{"GET /{$}", forReaders, web.getOverview},
		{"GET /pools", forReaders, web.getPools},
		{"GET /pools/{pool}", forReaders, web.getPool},
		{"GET /runners", forReaders, web.getRunners},
		{"GET /runners/{runner}", forReaders, web.getRunner},
		{"GET /runners/{runner}/log", forUsers, web.getLog},
		{"GET /queue", forReaders, web.getQueue},
		{"GET /queue/{job}", forReaders, web.getJob},
		{"GET /events", forReaders, web.getEvents},
		{"GET /config", forReaders, web.getConfig},
		{"GET /charts/{chart}", forReaders, web.getChart},
		{"GET /live", forReaders, web.getLive},
		{"GET /", forReaders, web.getNowhere},
	}
	return append(append(list, web.actionRoutes()...), web.tokenPageRoutes()...)
}

// tokenPageRoutes lists the pages of the gateway's tokens, or what stands there
// if there is no gateway.
func (web *Web) tokenPageRoutes() []webRoute {
	if !web.hasGateway() {
		return []webRoute{
			{"GET /tokens", forReaders, web.noTokenPages},
			{"GET /tokens/", forReaders, web.noTokenPages},
		}
	}
	return []webRoute{
		{"GET /tokens", forUsers, web.getTokens},
		{"GET /tokens/", forUsers, web.getNowhere},
		{"GET /tokens/new", forUsers, web.getTokenForm},
		{"POST /tokens/new", forUsers, web.postTokenForm},
		{"GET /tokens/{name}", forUsers, web.getToken},
		{"GET /tokens/{name}/{change}", forUsers, web.getConfirmation},
		{"POST /tokens/{name}/{change}", forUsers, web.postChange},
	}
}

// Handler returns the routes. Without a login there are only those that are for
// all and, where readers need none, those that change nothing.
func (web *Web) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range web.routes() {
		mux.Handle(r.pattern, web.admit(r.forWhom, r.serve))
	}
	guarded := http.NewCrossOriginProtection()
	guarded.SetDenyHandler(http.HandlerFunc(web.refuseForeign))
	return withPageHeaders(guarded.Handler(mux))
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
	web.renderMessage(w, r, http.StatusNotFound, message{Title: "Not found", Text: "There is no such page.", Link: "/", Label: "To the overview"})
}

func (web *Web) noTokenPages(w http.ResponseWriter, r *http.Request) {
	web.renderMessage(w, r, http.StatusNotFound, message{
		Title: "No gateway", Text: "This scaler gives out no registration tokens. Set gateway.listen and gateway.public_url to have it do so.",
	})
}
