{{- define "linkspan.image" -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end }}

{{- define "linkspan.labels" -}}
app.kubernetes.io/name: linkspan
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "linkspan.selector" -}}
app.kubernetes.io/name: linkspan
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- /* host:port of the catalog's mesh port, as pods of this cluster dial it */ -}}
{{- define "linkspan.server" -}}
{{- if .Values.catalog.enabled -}}
{{ .Release.Name }}-catalog.{{ .Release.Namespace }}.svc:8502
{{- else -}}
{{ required "external.server must name the catalog while catalog.enabled is false" .Values.external.server }}
{{- end -}}
{{- end }}

{{- define "linkspan.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "linkspan.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{- /* what a pod needs to prove itself to the catalog and to trust it: a token for the audience "linkspan", and the roots */ -}}
{{- define "linkspan.identityVolumes" -}}
- name: token
  projected:
    sources:
      - serviceAccountToken: {audience: linkspan, expirationSeconds: 3600, path: token}
- name: roots
  configMap: {name: {{ .Release.Name }}-roots}
- name: state
  emptyDir: {medium: Memory, sizeLimit: 32Mi}
- name: tmp
  emptyDir: {sizeLimit: 16Mi}
{{- end }}

{{- define "linkspan.identityMounts" -}}
- {name: token, mountPath: /var/run/secrets/linkspan, readOnly: true}
- {name: roots, mountPath: /etc/linkspan/roots, readOnly: true}
- {name: state, mountPath: /var/lib}
- {name: tmp, mountPath: /tmp}
{{- end }}
