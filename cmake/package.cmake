# The Debian package, `make deb`: binary, man pages and completion as everywhere, and what a service needs.
set(debian ${PROJECT_SOURCE_DIR}/packaging/debian)
set(docs ${CMAKE_CURRENT_BINARY_DIR}/debian-docs)
file(MAKE_DIRECTORY ${docs})
add_custom_target(debian_docs ALL
    COMMAND gzip -9nc ${debian}/changelog > ${docs}/changelog.Debian.gz
    COMMAND gzip -9nc ${PROJECT_SOURCE_DIR}/CHANGELOG.md > ${docs}/changelog.gz
    VERBATIM)

install(FILES ${PROJECT_SOURCE_DIR}/packaging/systemd/pawl.service DESTINATION /lib/systemd/system)
install(FILES ${debian}/config DESTINATION /etc/pawl)
install(FILES ${debian}/sysusers.conf DESTINATION /usr/lib/sysusers.d RENAME pawl.conf)
install(FILES ${debian}/tmpfiles.conf DESTINATION /usr/lib/tmpfiles.d RENAME pawl.conf)
install(FILES ${debian}/lintian-overrides DESTINATION /usr/share/lintian/overrides RENAME pawl)
install(FILES ${debian}/copyright ${docs}/changelog.Debian.gz ${docs}/changelog.gz DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md"
    PATTERN decisions EXCLUDE)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples DESTINATION ${CMAKE_INSTALL_DOCDIR})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME pawl)
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_PACKAGE_CONTACT "pawl developers <pawl@localhost>")
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# libmicrohttpd and GnuTLS are opened late (src/base/late.h), so that dpkg-shlibdeps does not see them.
set(CPACK_DEBIAN_PACKAGE_DEPENDS
    "adduser, init-system-helpers (>= 1.54~), libmicrohttpd12 (>= 0.9.75), libgnutls30 (>= 3.7.9)")
# Opened when they are first needed: http tasks, clusters, python tasks, schedules with a time zone.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "libcurl4, python3, tzdata, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "libpq5")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION "durable scheduler for DAGs of tasks\n\
Runs workflows described in YAML: shell commands, HTTP requests and Python\n\
scripts with dependencies, retries, timeouts and cron schedules, over a REST\n\
API, a web page and a command line. What it has acknowledged survives crashes\n\
and power loss, and running tasks outlive a restart of the daemon.")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    ${debian}/postinst ${debian}/prerm ${debian}/postrm ${debian}/conffiles)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
