# What Vagrant makes of the Vagrantfile in FOLDER for PROVIDER, as JSON: each machine's settings after its provider's
# own Config class has taken, finalized and validated them. No provider needs to be usable here, which `vagrant
# validate` insists on.
#
#     ruby configurations.rb FOLDER virtualbox|hyperv|libvirt
require "json"
require "log4r"
require "vagrant"
require "vagrant/bundler"
require "vagrant/ui"

folder, provider = ARGV
provider = provider.to_sym
$VERBOSE = nil

# Stands in for the provider itself, which would look for its hypervisor at once.
nobody = Class.new(Vagrant.plugin("2", :provider)) do
  def initialize(_machine); end

  def driver # libvirt's validation asks which bridges the host has
    Struct.new(:host_devices).new(%w[br0 eth0])
  end

  def state
    Vagrant::MachineState.new(:not_created, "not created", "")
  end
end

def told(value)
  case value
  when Hash then value.to_h { |key, inner| [key.to_s, told(inner)] }
  when Array then value.map { |inner| told(inner) }
  when Symbol, Pathname then value.to_s
  when String, Integer, Float, true, false, nil then value
  else value.equal?(Vagrant.plugin("2", :config)::UNSET_VALUE) ? "UNSET" : value.class.name
  end
end

def settings(config)
  config.instance_variables.grep_v(/\A@(__|logger|_)/).to_h do |name|
    [name.to_s.delete_prefix("@"), told(config.instance_variable_get(name))]
  end
end

env = Vagrant::Environment.new(cwd: folder, ui_class: Vagrant::UI::Silent)
answer = env.machine_names.to_h do |name|
  config = env.vagrantfile.machine_config(name, provider, nil, nil, false)[:config]
  own = config.vm.get_provider_config(provider)
  data = Pathname.new(folder).join(".vagrant", "machines", name.to_s, provider.to_s)
  data.mkpath
  machine = Vagrant::Machine.new(name, provider, nobody, own, {}, config, data, nil, env, env.vagrantfile)
  [name, {
    "class" => own.class.name,
    "errors" => config.validate(machine).transform_values { |errors| told(errors) }.reject { |_, found| found.empty? },
    "vm" => settings(config.vm),
    "ssh" => settings(config.ssh),
    "networks" => config.vm.networks.map { |type, options| [type.to_s, told(options)] },
    "synced_folders" => told(config.vm.synced_folders.reject { |_, options| options[:disabled] }),
    "default_provider" => ENV["VAGRANT_DEFAULT_PROVIDER"],
    "provider" => settings(own),
  }]
end
puts JSON.generate(answer)
