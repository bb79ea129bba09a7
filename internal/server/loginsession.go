package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

const (
	// sessionTime is how long a login lasts, used or not.
	sessionTime = 12 * time.Hour
	// maxSessions bounds how many there are at once.
	maxSessions = 1000
	// randomBytes is the length of what nobody is to guess, randomLength that
	// of its text.
	randomBytes  = 32
	randomLength = (randomBytes*8 + 5) / 6
)

// session is one login by password.
type session struct {
	user    string
	proof   [sha256.Size]byte // accountList.proof at the login
	expires time.Time
}

// sessions holds the logins in memory, so a restart ends them. They are kept
// by the hash of their ID, which is known to the browser only.
type sessions struct {
	mu    sync.Mutex
	byKey map[[sha256.Size]byte]session
}

func newSessions() *sessions {
	return &sessions{byKey: make(map[[sha256.Size]byte]session)}
}

// begin makes a session and returns its ID. If there are too many, that which
// would expire first ends.
func (s *sessions) begin(user string, proof [sha256.Size]byte) string {
	id, now := randomText(), time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest [sha256.Size]byte
	var expires time.Time
	for key, other := range s.byKey {
		switch {
		case !now.Before(other.expires):
			delete(s.byKey, key)
		case expires.IsZero() || other.expires.Before(expires):
			oldest, expires = key, other.expires
		}
	}
	if len(s.byKey) >= maxSessions {
		delete(s.byKey, oldest)
	}
	s.byKey[sha256.Sum256([]byte(id))] = session{user: user, proof: proof, expires: now.Add(sessionTime)}
	return id
}

// find returns the session of an ID unless it has expired.
func (s *sessions) find(id string) (session, bool) {
	key := sha256.Sum256([]byte(id))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byKey[key]
	if ok && !time.Now().Before(found.expires) {
		delete(s.byKey, key)
		return session{}, false
	}
	return found, ok
}

// end forgets a session, if there is one of this ID.
func (s *sessions) end(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byKey, sha256.Sum256([]byte(id)))
}

// randomText returns 256 random bits as text.
func randomText() string {
	var b [randomBytes]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// The cookie's name. With the prefix browsers take it only over TLS and from
// this very host.
const (
	sessionCookie       = "scaler_session"
	secureSessionCookie = "__Host-" + sessionCookie
)

// sessionID returns the session's ID as the browser sent it, of either cookie;
// empty if there is none.
func sessionID(r *http.Request) string {
	for _, name := range []string{secureSessionCookie, sessionCookie} {
		if c, err := r.Cookie(name); err == nil {
			return c.Value
		}
	}
	return ""
}

// setCookie gives the browser the session's ID, or takes the cookie away if it
// is empty.
func (web *Web) setCookie(w http.ResponseWriter, id string) {
	c := &http.Cookie{
		Name: sessionCookie, Value: id, Path: "/", MaxAge: int(sessionTime / time.Second),
		HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: web.cfg.Secure,
	}
	if web.cfg.Secure {
		c.Name = secureSessionCookie
	}
	if id == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}
