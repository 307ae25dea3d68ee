#ifndef DEP2P_CFILES_H
#define DEP2P_CFILES_H

/// renameat2 with RENAME_NOREPLACE within one folder; 0, or the errno: EEXIST when `to` exists.
int dep2p_rename_noreplace(int directory, const char *from, const char *to);

#endif
