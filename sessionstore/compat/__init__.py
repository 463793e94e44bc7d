"""Faces with the names, signatures and return shapes of older programs' session modules, kept by this store.

One module for each program: a caller changes its import and nothing else. The modules are imported one by one; this
package imports none of them.
"""
