package host

// FileSystem is what is under a path.
type FileSystem struct {
	Free, Total int64 // bytes; Free is for users who are not root
	// Network names the kind of a file system that is not this machine's own,
	// such as "NFS"; empty if it is.
	Network  string
	ReadOnly bool
}
