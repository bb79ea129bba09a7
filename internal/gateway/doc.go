// Package gateway stands in front of Gitea's registration of runners. It has
// registration tokens of its own, which can be reused, limited, and withdrawn
// at any moment; a runner uses the gateway's address as that of its Gitea and
// registers with one of them. The scope's own registration token of Gitea
// never leaves the daemon. Everything else that a runner says passes through.
//
// The invariants that it protects: a registration makes at most one runner,
// and is on disk before Gitea is asked for it; a runner is deleted only if it
// is provably the one that is meant, by its id and name, and only after no new
// job can come to it and a complete list says that it has none; and no secret
// is stored, logged or answered, except a new token's to who made it.
package gateway
